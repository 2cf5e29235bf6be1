import json
import math

import jax
import numpy as np
import pytest

from rsnet_jax.checkpoints import key_tables
from rsnet_jax.config import Config
from rsnet_jax.models.build import init_refinement_variables, init_variables


@pytest.fixture(scope="module")
def fresh():
    config = Config()  # width 96
    network = key_tables.to_published(
        init_variables(config), key_tables.rsnet_table(config.model, 16)
    )
    refinement = key_tables.to_published(
        init_refinement_variables(config), key_tables.refine_table(config.model, 16)
    )
    return network, refinement


def bound(name, shape, width=96):
    """The bound of torch's distribution for a tensor of this name, from its documentation."""
    kind = name.split(".")[-1]
    if kind in ("W", "W2", "M"):
        fan_in, fan_out = shape[1] * shape[2], shape[0] * shape[2]
        return 1.414 * math.sqrt(6 / (fan_in + fan_out))
    if name.startswith("non_local"):
        chan = 4 * width
        return 1 / math.sqrt(chan // 2 if "W.0" in name else chan)
    return 1 / math.sqrt(3 if "output" in name else width)


def test_every_tensor_of_the_network_is_drawn_as_torch_draws_it(golden, fresh):
    reference = json.loads((golden / "rsnet/init_stats_h96.json").read_text())["stats"]
    network, _ = fresh
    assert set(reference) == {name for name in network if "running" not in name} - {
        "non_local.W.1.num_batches_tracked"
    }
    for name, (low, high, _, std) in reference.items():
        got = network[name]
        if low == high:  # a constant: adjacency modulations, normalizations
            np.testing.assert_array_equal(got, np.float32(low), err_msg=name)
            continue
        limit = bound(name, got.shape) * (1 + 1e-6)  # float32 rounds
        assert -limit <= low < high <= limit, f"the formula is not that of {name}"
        assert np.abs(got).max() <= limit, name
        if got.size > 1000:
            assert got.std() == pytest.approx(std, rel=0.02), name
            assert np.abs(got).max() > 0.99 * limit, name
        else:  # a uniform sample of n: its spread is within 5 standard errors
            expected = limit / math.sqrt(3)
            assert got.std() == pytest.approx(expected, rel=5 * 0.45 / math.sqrt(got.size)), name


def test_refinement_is_drawn_as_torch_draws_it(fresh):
    _, refinement = fresh
    for name, fan_in in (("0.weight", 96), ("0.bias", 96), ("3.weight", 1024), ("3.bias", 1024)):
        got = refinement[f"post_refine.{name}"]
        limit = 1 / math.sqrt(fan_in)
        assert 0.8 * limit < np.abs(got).max() <= limit, name


def test_different_seeds_draw_different_weights():
    one, two = (init_variables(Config(seed=seed))["params"]["output"]["weight"] for seed in (0, 1))
    assert not np.array_equal(one, two)
    again = init_variables(Config(seed=0))["params"]["output"]["weight"]
    np.testing.assert_array_equal(one, again)
    assert jax.numpy.isfinite(one).all()
