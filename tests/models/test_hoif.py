"""HOIF-Net against the golden files of the official modules."""

import math

import jax
import numpy as np
import pytest
from peer_networks import (
    check_conversion,
    check_fresh,
    check_outputs,
    check_training,
    load_case,
    output_of,
)

from rsnet_jax.checkpoints.published import from_published, to_published
from rsnet_jax.checkpoints.torch_file import read_state_dict
from rsnet_jax.config import Config, HOIFConfig
from rsnet_jax.models.build import init_variables
from rsnet_jax.models.hoif import scale_at
from rsnet_jax.pose.skeleton import H36M_16, H36M_17

CASES = ["hoif_gt16", pytest.param("hoif_cpn17", marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=CASES)
def case(request, golden):
    return load_case(golden / "peers" / request.param)


def test_outputs_and_activations_match_the_official_modules(case):
    activations = {
        "gconv_input.gconv": output_of(case, "input", "conv"),
        "gconv_input": output_of(case, "input"),
        "gconv_layers": output_of(case, "block_7"),
    } | {f"gconv_layers.gconv{i + 1}": output_of(case, f"block_{i}") for i in range(7)}
    check_outputs(case, activations)


def test_training_step_matches_the_official_modules(case):
    check_training(case)


def test_conversion_is_exact_and_accounts_for_every_tensor(case, golden):
    """Also for the blocks that are stored and never used."""
    check_conversion(case)
    assert case.checkpoint.config == Config(model=HOIFConfig(width=case.about["hid_dim"]))
    assert case.checkpoint.skeleton == {16: H36M_16, 17: H36M_17}[case.about["joints"]]
    network, _ = to_published(case.checkpoint)
    path = golden / "peers" / case.about["case"] / "state_dict.pth"
    for name, want in read_state_dict(path).items():
        np.testing.assert_array_equal(network[name], want, err_msg=name)
        assert network[name].dtype == want.dtype, name


def test_scale_falls_with_depth():
    wanted = [0.405, 0.223, 0.154, 0.118, 0.0953, 0.0800, 0.0690, 0.0606, 0.0541]
    got = [scale_at(depth) for depth in range(1, 10)]
    np.testing.assert_allclose(got, wanted, rtol=3e-3)


def test_all_stored_blocks_can_be_used():
    config = Config(model=HOIFConfig(width=2, blocks=16, hops=2))
    params = jax.eval_shape(lambda: init_variables(config))["params"]
    assert "block_15" in params and "unused" not in params


@pytest.mark.parametrize("blocks", [1, 3, 16])
def test_blocks_are_told_by_the_batches_they_have_seen(case, blocks):
    """Those of a trained file: as many as the first layer, or none."""
    tensors, _ = to_published(case.checkpoint)
    used = {f"gconv{number}" for number in (*range(1, blocks), 16)}
    for name in tensors:
        if name.endswith("num_batches_tracked"):
            ran = name.startswith("gconv_input") or name.split(".")[1] in used
            tensors[name] = np.array(70 if ran else 0)
    assert from_published(tensors, source="made up").config.model.blocks == blocks


@pytest.mark.slow
def test_fresh_tensors_are_drawn_as_torch_draws_them(golden):
    def bound(name, shape):
        if name.endswith("W"):
            hops, chan, out = shape
            return 1.414 * math.sqrt(6 / ((hops + chan) * out))
        out = shape[0] // 4 if name.endswith("bias") else shape[0]
        return 1 / math.sqrt(out)

    path = golden / "peers/init_stats/hoif_16.json"
    check_fresh(path, Config(model=HOIFConfig()), H36M_16, bounds=bound)
