import dataclasses
import json
import shutil

import chex
import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.load import load_checkpoint
from rsnet_jax.checkpoints.orbax_folder import save_checkpoint
from rsnet_jax.checkpoints.safetensors_file import save_safetensors
from rsnet_jax.checkpoints.torch_file import read_state_dict
from rsnet_jax.config import Config, DataConfig, RSNetConfig
from rsnet_jax.errors import CheckpointError, OutputError
from rsnet_jax.models.build import init_variables
from rsnet_jax.pose.skeleton import H36M_16, H36M_17, Skeleton

STAR = Skeleton("star", tuple("abcde"), (-1, 0, 0, 1, 1), (1,), (2,))


def assert_same(got, want):
    chex.assert_trees_all_equal(got.variables, want.variables)
    chex.assert_trees_all_equal_dtypes(got.variables, want.variables)
    assert (got.refine_variables is None) == (want.refine_variables is None)
    if want.refine_variables is not None:
        chex.assert_trees_all_equal(got.refine_variables, want.refine_variables)
    assert got.config == want.config
    assert got.skeleton == want.skeleton
    assert got.keypoint_skeleton == want.keypoint_skeleton
    assert got.step == want.step


@pytest.fixture(scope="module")
def star():
    config = Config(
        seed=5,
        model=RSNetConfig(width=6, blocks=1, double_gelu=False, dropout=0.1),
        data=DataConfig(every=3, detections="noisy"),
    )
    return Checkpoint(init_variables(config, STAR), None, config, STAR, step=12)


@pytest.fixture(scope="module")
def pair(golden):
    return load_checkpoint(golden / "e2e_tiny")


@pytest.mark.parametrize("which", ["star", "pair"])
def test_orbax_folder_and_safetensors_keep_everything(request, tmp_path, which):
    checkpoint = request.getfixturevalue(which)
    save_checkpoint(tmp_path / "folder", checkpoint)
    restored = load_checkpoint(tmp_path / "folder")
    assert_same(restored, checkpoint)
    save_safetensors(tmp_path / "x.safetensors", restored)
    assert_same(load_checkpoint(tmp_path / "x.safetensors"), checkpoint)


def test_safetensors_of_earlier_versions_are_read(tmp_path, pair):
    """Their configuration has no name of the network, and there is one skeleton."""
    save_safetensors(tmp_path / "x.safetensors", pair)
    with safe_open(tmp_path / "x.safetensors", framework="np") as file:
        about = json.loads(file.metadata()["rsnet_jax"])
    del about["config"]["model"]["name"], about["keypoint_skeleton"]
    for section, names in {
        "train": ("mirror", "loss"),
        "optim": ("name", "schedule", "decay_steps", "clip_norm"),
    }.items():
        for name in names:
            del about["config"][section][name]
    tensors = load_file(tmp_path / "x.safetensors")
    save_file(tensors, tmp_path / "y.safetensors", metadata={"rsnet_jax": json.dumps(about)})
    assert_same(load_checkpoint(tmp_path / "y.safetensors"), pair)


@pytest.mark.parametrize("name", ["rsnet", "semgcn"])
def test_skeletons_of_input_and_output_are_kept(tmp_path, name):
    config = Config(model={"name": name, "width": 4, "blocks": 1})
    variables = init_variables(config, H36M_16, H36M_17)
    checkpoint = Checkpoint(variables, None, config, H36M_16, keypoint_skeleton=H36M_17)
    save_checkpoint(tmp_path / "folder", checkpoint)
    save_safetensors(tmp_path / "x.safetensors", checkpoint)
    for path in ("folder", "x.safetensors"):
        assert_same(load_checkpoint(tmp_path / path), checkpoint)


def test_safetensors_has_the_published_names_and_shapes(golden, tmp_path, pair):
    save_safetensors(tmp_path / "x.safetensors", pair)
    got = load_file(tmp_path / "x.safetensors")
    want = {}
    for path in (golden / "e2e_tiny").glob("*.pth"):
        want |= read_state_dict(path)
    assert set(got) == set(want)
    for name in want:
        np.testing.assert_array_equal(got[name], want[name], err_msg=name)


def test_safetensors_of_others_are_read_like_published_files(golden, tmp_path):
    path = golden / "rsnet" / "model_rsnet_3_eva_post_4711.pth"
    save_file(read_state_dict(path), tmp_path / "x.safetensors")
    got = load_checkpoint(tmp_path / "x.safetensors", double_gelu=False)
    want = load_checkpoint(path, double_gelu=False)
    assert_same(got, want)
    assert not got.config.model.double_gelu


def test_existing_outputs_are_kept(tmp_path, star):
    for name, save in (("folder", save_checkpoint), ("x.safetensors", save_safetensors)):
        save(tmp_path / name, star)
        with pytest.raises(OutputError, match="exists already"):
            save(tmp_path / name, star)
    assert_same(load_checkpoint(tmp_path / "folder"), star)


def test_a_damaged_folder_is_one_line(tmp_path, star, capfd):
    save_checkpoint(tmp_path / "good", star)
    files = [p.relative_to(tmp_path / "good") for p in (tmp_path / "good").rglob("*")]
    caught = 0
    for number, file in enumerate(files):
        if not (tmp_path / "good" / file).is_file():
            continue
        folder = tmp_path / f"bad{number}"
        shutil.copytree(tmp_path / "good", folder)
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[: len(content) // 2])
        try:
            assert_same(load_checkpoint(folder), star)  # a file that does not matter
        except CheckpointError as error:
            caught += 1
            assert "\n" not in str(error)
            assert str(folder) in str(error)
    assert caught >= 3  # at least the configuration, the array index and the arrays
    assert capfd.readouterr().err.count("\n") < 3  # no storm of thread tracebacks


def edit_about(folder, **changes):
    path = folder / "about" / "metadata"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_configuration_that_does_not_fit_is_refused(tmp_path, star):
    save_checkpoint(tmp_path / "a", star)
    config = star.config.model_dump(mode="json")
    edit_about(tmp_path / "a", config=config | {"model": config["model"] | {"width": 7}})
    with pytest.raises(CheckpointError, match="not a readable rsnet_jax checkpoint"):
        load_checkpoint(tmp_path / "a")
    edit_about(tmp_path / "a", config=config | {"speed": 1})
    with pytest.raises(CheckpointError, match="unknown setting speed"):
        load_checkpoint(tmp_path / "a")
    edit_about(tmp_path / "a", config=config, format=99)
    with pytest.raises(CheckpointError, match=r"newer rsnet_jax \(format 99"):
        load_checkpoint(tmp_path / "a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda scale: scale[:-1], r"norm/scale has shape \(23,\).*skeleton give it \(24,\)"),
        (lambda scale: scale.astype(np.float16), "norm/scale .*type float16, .*float32"),
        (lambda scale: np.full_like(scale, np.nan), "norm/scale has NaN or infinite values"),
        (lambda scale: None, "lacks params/norm_0/norm/scale"),
        (lambda scale: {"twice": scale}, "lacks params/norm_0/norm/scale"),
    ],
)
def test_weights_of_another_shape_or_type_are_refused(star, change, message):
    weights = jax.tree.map(np.asarray, star.variables)
    norm = weights["params"]["norm_0"]["norm"]
    norm["scale"] = change(norm["scale"])
    with pytest.raises(CheckpointError, match=f"made up: the network.*{message}") as caught:
        dataclasses.replace(star, variables=weights, source="made up")
    assert "\n" not in str(caught.value)


def test_weights_that_the_network_lacks_are_refused(star):
    weights = jax.tree.map(np.asarray, star.variables)
    weights["params"]["extra"] = np.zeros(3, np.float32)
    with pytest.raises(CheckpointError, match="the network has no place for params/extra"):
        dataclasses.replace(star, variables=weights)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.safetensors", b"\0" * 40, "not a readable safetensors file"),
        ("x.safetensors", None, "no such file"),
        ("folder", None, "folder"),
    ],
)
def test_what_is_not_there_or_not_readable(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path / name)


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(CheckpointError, match="neither a checkpoint"):
        load_checkpoint(tmp_path)


def test_a_head_for_weights_that_bring_their_own(tmp_path, star, golden):
    save_checkpoint(tmp_path / "folder", star)
    refinement = golden / "e2e_tiny" / "model_post_refine_2_eva_post_9957.pth"
    with pytest.raises(CheckpointError, match="--refine goes with a published"):
        load_checkpoint(tmp_path / "folder", refine=refinement)
