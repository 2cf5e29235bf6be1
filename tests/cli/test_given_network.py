"""`--model NAME[:VARIANT]` of every command that reads published files."""

import json

import numpy as np
import pytest

KEYPOINTS = np.arange(64, dtype=np.float32).reshape(2, 16, 2) * 7 + 300


@pytest.fixture
def ambiguous(golden):
    """A published file whose tensors are those of two kinds of sharing, too."""
    return golden / "peers" / "anygcn_dc_preagg" / "state_dict.pth"


@pytest.fixture
def commands(tmp_path):
    """Command -> its arguments besides the checkpoint."""
    keypoints = tmp_path / "keypoints.npy"
    np.save(keypoints, KEYPOINTS)
    return {
        "info": [],
        "convert": ["--out", tmp_path / "converted"],
        "evaluate": ["--data.actions", "Run", "--data.every", 48],
        "predict": [
            *(keypoints, "--layout", "h36m16", "--size", "1000x1000", "--fps", 25),
            *("--out", tmp_path / "poses.npz"),
        ],
    }


@pytest.mark.parametrize("command", ["info", "convert", "evaluate", "predict"])
def test_network_of_a_published_file_can_be_named(cli, refused, ambiguous, commands, command):
    argv = [command, ambiguous, *commands[command]]
    if command == "predict":
        argv = [command, *commands[command], "--checkpoint", ambiguous]
    told = refused(*argv)
    assert told.endswith(
        "say so: --model weight_unsharing:dc_preagg or --model weight_unsharing:dc_postagg"
    )
    told = refused(*argv, "--model", "rsnet")
    assert told == f"{ambiguous}: not a published RS-Net: it has no gconv_input.gconv.W"
    assert "of model.sharing dc_preagg or dc_postagg, not vanilla" in refused(
        *argv, "--model", "weight_unsharing:vanilla"
    )
    code, _, err = cli(*argv, "--model", "weight_unsharing:dc_postagg")
    assert (code, err) == (0, "")


def test_variant_decides_the_result(cli, ambiguous, tmp_path):
    errors = {}
    for sharing in ("dc_preagg", "dc_postagg"):
        path = tmp_path / f"{sharing}.json"
        code, _, _ = cli(
            "evaluate", ambiguous, "--model", f"weight_unsharing:{sharing}",
            "--data.actions", "Run", "--data.every", 48, "--json", path,
        )  # fmt: skip
        assert code == 0
        errors[sharing] = json.loads(path.read_text())["lifted"]["mpjpe"]["average"]
    assert errors["dc_preagg"] != pytest.approx(errors["dc_postagg"], rel=1e-3)


def test_a_checkpoint_that_knows_its_network_is_not_another(refused, finished_run):
    for command in ("info", "evaluate"):
        told = refused(command, finished_run.workdir, "--model", "semgcn")
        assert told.startswith("model: ") and told.endswith("which is rsnet, not semgcn")
    assert "model goes with a CHECKPOINT" in refused("evaluate", "--model", "semgcn")
