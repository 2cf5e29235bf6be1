import sys

import numpy as np
import pytest
from cli.conftest import contents

from rsnet_jax.checkpoints.load import load_checkpoint
from rsnet_jax.checkpoints.torch_file import read_state_dict


def test_round_trip_is_identical(cli, network, refinement, tmp_path):
    pytest.importorskip("torch")
    folder, tensors = tmp_path / "new" / "hr", tmp_path / "w.safetensors"
    back = tmp_path / "model_rsnet_x.pth"
    steps = [(network, "--refine", refinement, "--out", folder), (folder, "--out", tensors),
             (tensors, "--out", back)]  # fmt: skip
    for step in steps:
        code, out, err = cli("convert", *step)
        assert (code, err) == (0, "")
        assert out.startswith("RS-Net, width 16, 4 blocks, 4 hops, with refinement\nwrote ")
    for original, copy in ((network, back), (refinement, tmp_path / "model_post_refine_x.pth")):
        before, after = read_state_dict(original), read_state_dict(copy)
        assert before.keys() == after.keys()
        for key, array in before.items():
            assert (array.dtype, array.shape) == (after[key].dtype, after[key].shape), key
            np.testing.assert_array_equal(array, after[key], err_msg=key)
    counters = [key for key in read_state_dict(back) if key.endswith("num_batches_tracked")]
    assert counters and read_state_dict(back)[counters[0]].dtype == np.int64


def test_what_the_file_does_not_tell_can_be_given(cli, network, tmp_path):
    folder = tmp_path / "single"
    options = ["--dropout", 0, "--no-double-gelu"]
    assert cli("convert", network, *options, "--out", folder)[0] == 0
    model = load_checkpoint(folder).config.model
    assert (model.dropout, model.double_gelu) == (0, False)
    assert "0, single GELU" in cli("info", folder)[1]


def test_options_that_would_be_ignored_are_errors(refused, cli, network, tmp_path):
    folder, out = tmp_path / "hr", tmp_path / "out"
    assert cli("convert", network, "--out", folder)[0] == 0
    assert "0.2, not 0.5" in refused("convert", folder, "--dropout", 0.5, "--out", out)
    assert "double-gelu" in refused("convert", folder, "--no-double-gelu", "--out", out)
    assert "--refine" in refused("convert", folder, "--refine", network, "--out", out)
    assert not out.exists()


def test_a_file_of_another_network_is_refused_whole(refused, network, tmp_path):
    def told(model, *more):
        return refused("convert", network, "--model", model, *more, "--out", tmp_path / "out")

    assert told("semgcn") == f"{network}: not a published SemGCN: it has no gconv_input.0.gconv.W"
    assert "model: rsnet is not the network of semgcn_gt" in told("rsnet", "--config", "semgcn_gt")
    assert "model.name: one of rsnet, semgcn" in told("tea")
    assert "model: rsnet has no variants, got 'rsnet:x'" in told("rsnet:x")
    assert contents(tmp_path) == []


@pytest.mark.parametrize("name", ["there", "there.safetensors", "there.pth"])
def test_existing_outputs_are_kept(refused, network, tmp_path, name):
    out = tmp_path / name
    out.mkdir() if name == "there" else out.write_text("old")
    message = refused("convert", network, "--out", out)
    assert str(out) in message and "--overwrite" not in message  # convert has no such option
    assert contents(tmp_path) == [name]


def test_existing_head_file_is_kept(refused, golden, tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "w_post_refine.pth").write_text("old")
    message = refused("convert", golden / "e2e_tiny", "--out", tmp_path / "w.pth")
    assert "w_post_refine.pth exists already" in message
    assert contents(tmp_path) == ["w_post_refine.pth"]


def test_outputs_that_cannot_be(refused, network, tmp_path):
    (tmp_path / "file").write_text("")
    assert f"{tmp_path / 'file'} is not a folder" in refused(
        "convert", network, "--out", tmp_path / "file" / "w.safetensors"
    )
    assert "*.safetensors" in refused("convert", network, "--out", tmp_path / "w.pth.tar")
    refused("convert", tmp_path / "missing.pth", "--out", tmp_path / "new" / "deep")
    assert "where to?" in refused("convert", network)
    assert "CHECKPOINT" in refused("convert")
    assert contents(tmp_path) == ["file"]


def test_pth_without_torch_is_refused_before_reading(refused, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    message = refused("convert", tmp_path / "missing", "--out", tmp_path / "w.pth")
    assert "needs torch" in message and "safetensors" in message


def test_info(cli, golden):
    code, out, err = cli("info", golden / "e2e_tiny")
    assert (code, err) == (0, "")
    for fact in (
        "130,367 parameters",
        "16 per hop, 64 channels",
        "4 residual blocks, 4 hops",
        "h36m_16",
        "132,128",
    ):
        assert fact in out


def test_full_disk_leaves_nothing(refused, network, tmp_path, full_disk):
    with full_disk:
        told = refused("convert", network, "--out", tmp_path / "hr")
    assert f"{tmp_path / 'hr'} cannot be written: " in told
    assert list(tmp_path.iterdir()) == []
