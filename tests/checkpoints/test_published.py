import functools
import shutil

import chex
import jax
import numpy as np
import pytest
from random_tensors import random_tensors

from rsnet_jax.checkpoints.published import (
    from_published,
    load_torch_checkpoint,
    save_torch_checkpoint,
    to_published,
)
from rsnet_jax.checkpoints.torch_file import read_state_dict
from rsnet_jax.errors import CheckpointError, ConfigError, OutputError
from rsnet_jax.models import reference
from rsnet_jax.pose.skeleton import H36M_16, H36M_17

NETWORK = "model_rsnet_2_eva_post_9957.pth"
HEAD = "model_post_refine_2_eva_post_9957.pth"


def test_a_folder_of_published_files_is_paired(golden):
    pair = load_torch_checkpoint(golden / "e2e_tiny")
    named = load_torch_checkpoint(golden / "e2e_tiny" / NETWORK, golden / "e2e_tiny" / HEAD)
    chex.assert_trees_all_equal(pair.variables, named.variables)
    chex.assert_trees_all_equal(pair.refine_variables, named.refine_variables)
    assert pair.config.model.width == 16
    assert pair.config.model.dropout == 0.2
    assert pair.config.model.double_gelu


def test_among_several_heads_the_name_decides(golden, tmp_path):
    shutil.copytree(golden / "e2e_tiny", tmp_path, dirs_exist_ok=True)
    other = golden / "rsnet" / "model_post_refine_3_eva_post_4711.pth"
    shutil.copy(other, tmp_path)
    want = load_torch_checkpoint(golden / "e2e_tiny")
    chex.assert_trees_all_equal(
        load_torch_checkpoint(tmp_path).refine_variables, want.refine_variables
    )
    (tmp_path / HEAD).rename(tmp_path / "renamed.pth")
    with pytest.raises(CheckpointError, match=f"none is called {HEAD}"):
        load_torch_checkpoint(tmp_path)


def test_several_networks_are_not_guessed_among(golden):
    with pytest.raises(CheckpointError, match=r"found model_rsnet_3.*, model_rsnet_legacy"):
        load_torch_checkpoint(golden / "rsnet")


def test_network_and_head_must_not_be_exchanged(golden):
    network, refinement = golden / "e2e_tiny" / NETWORK, golden / "e2e_tiny" / HEAD
    with pytest.raises(CheckpointError, match="holds a refinement only"):
        load_torch_checkpoint(refinement)
    with pytest.raises(CheckpointError, match="not a refinement: it holds gconv_input"):
        load_torch_checkpoint(network, network)


def test_another_skeleton_is_refused(rng):
    tensors = random_tensors(rng, width=3, hops=4, blocks=1, joints=17)
    with pytest.raises(CheckpointError, match="made for 17 joints, but skeleton h36m_16 has 16"):
        from_published(tensors, source="made up", skeleton=H36M_16)
    tensors = random_tensors(rng, width=3, hops=4, blocks=1, joints=15)
    with pytest.raises(CheckpointError, match="made for 15 joints.* 16 or 17 were wanted"):
        from_published(tensors, source="made up")


def test_seventeen_joints_are_those_of_human36m(rng):
    tensors = random_tensors(rng, width=3, hops=4, blocks=1, joints=17)
    checkpoint = from_published(tensors, source="made up")
    assert checkpoint.skeleton == checkpoint.keypoint_skeleton == H36M_17
    keypoints = rng.normal(size=(2, 17, 2)).astype(np.float32)
    plain = functools.partial(reference.rsnet, skeleton=H36M_17)
    got = jax.jit(checkpoint.model.apply)(checkpoint.variables, keypoints)
    want = jax.jit(plain)(checkpoint.variables, keypoints)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    again, _ = to_published(checkpoint)
    assert all(np.array_equal(again[key], tensors[key]) for key in tensors)


@pytest.mark.parametrize("setting", [{"doubel_gelu": False}, {"non_local": True}])
def test_settings_that_the_network_lacks_are_refused(rng, setting):
    tensors = random_tensors(rng, width=3, hops=4, blocks=1, joints=16)
    with pytest.raises(ConfigError, match=f"unknown setting model.{next(iter(setting))}"):
        from_published(tensors, source="made up", **setting)


@pytest.mark.parametrize("width", [16, 64, 96])
def test_written_files_are_read_by_torch_and_identical(rng, tmp_path, width):
    torch = pytest.importorskip("torch")
    tensors = random_tensors(rng, width=width, hops=4, blocks=4, joints=16)
    state = {k: torch.from_numpy(v.copy()) for k, v in tensors.items()}
    torch.save(state, tmp_path / "in.pth")
    checkpoint = load_torch_checkpoint(tmp_path / "in.pth")
    assert checkpoint.config.model.width == width
    save_torch_checkpoint(tmp_path / "out.pth", checkpoint)
    again = torch.load(tmp_path / "out.pth", weights_only=True)
    assert set(again) == set(state)
    for name, want in state.items():
        assert again[name].dtype == want.dtype, name
        assert torch.equal(again[name], want), name


def test_the_head_goes_into_a_file_of_its_own(golden, tmp_path):
    pytest.importorskip("torch")
    checkpoint = load_torch_checkpoint(golden / "e2e_tiny")
    written = save_torch_checkpoint(tmp_path / "model_rsnet_x.pth", checkpoint)
    assert [path.name for path in written] == ["model_rsnet_x.pth", "model_post_refine_x.pth"]
    want = read_state_dict(golden / "e2e_tiny" / HEAD)
    got = read_state_dict(written[1])
    assert set(got) == set(want)
    for name in want:
        np.testing.assert_array_equal(got[name], want[name])
    with pytest.raises(OutputError, match="exists already"):
        save_torch_checkpoint(tmp_path / "model_rsnet_x.pth", checkpoint)


def test_unused_biases_survive(golden):
    path = golden / "rsnet" / "model_rsnet_3_eva_post_4711.pth"
    network, refinement = to_published(load_torch_checkpoint(path))
    assert refinement == {}
    for name, want in read_state_dict(path).items():
        np.testing.assert_array_equal(network[name], want, err_msg=name)
        assert network[name].dtype == want.dtype
