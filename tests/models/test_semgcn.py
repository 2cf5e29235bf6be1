"""SemGCN against the golden files of the official modules."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from peer_networks import (
    check_conversion,
    check_fresh,
    check_outputs,
    check_training,
    load_case,
    residual_activations,
)

from rsnet_jax.checkpoints.published import load_torch_checkpoint
from rsnet_jax.config import Config, SemGCNConfig
from rsnet_jax.errors import ConfigError, DataError
from rsnet_jax.models.build import build_model, init_variables
from rsnet_jax.models.edge_softmax import edge_softmax
from rsnet_jax.models.graphs import bones_and_self
from rsnet_jax.models.semgcn import SemGCN
from rsnet_jax.pose.skeleton import H36M_16, H36M_17


@pytest.fixture(scope="module", params=["semgcn", "semgcn_nonlocal"])
def case(request, golden):
    return load_case(golden / "peers" / request.param)


def test_graph_is_that_of_the_official_code(case):
    np.testing.assert_array_equal(bones_and_self(H36M_16), case.data["adj"] > 0)


def test_outputs_and_activations_match_the_official_modules(case):
    check_outputs(case, residual_activations(case))


def test_training_step_matches_the_official_modules(case):
    check_training(case)


def test_conversion_is_exact_and_accounts_for_every_tensor(case, golden):
    check_conversion(case)
    checkpoint, about = case.checkpoint, case.about
    non_local = about["non_local"]
    model = SemGCNConfig(width=about["hid_dim"], blocks=about["num_layers"], non_local=non_local)
    assert checkpoint.config == Config(model=model)
    assert checkpoint.skeleton == H36M_16
    # The dict of the training script, in torch's older container and in its zip container.
    wrapped = load_torch_checkpoint(golden / "peers" / about["case"] / "ckpt_best.pth.tar")
    assert wrapped.config == checkpoint.config
    assert wrapped.fingerprint == checkpoint.fingerprint


@pytest.mark.slow
@pytest.mark.parametrize("case_name", ["semgcn", "semgcn_nonlocal"])
def test_fresh_tensors_are_drawn_as_torch_draws_them(golden, case_name):
    def bound(name, shape):
        if "nonlocal" in name:
            return None
        if name.endswith(".W"):
            _, chan, out = shape
            return 1.414 * math.sqrt(6 / ((2 + chan) * out))
        return 1 / math.sqrt(shape[-1])

    path = golden / f"peers/init_stats/{case_name}.json"
    config = Config(model=SemGCNConfig(non_local=case_name == "semgcn_nonlocal"))
    check_fresh(path, config, H36M_16, bounds=bound)


def test_edge_softmax_by_hand():
    edges = np.array([[True, False, True], [False, True, False], [True, True, True]])
    got = edge_softmax(jnp.log(jnp.array([1.0, 3.0, 7.0, 2.0, 3.0, 5.0])), edges)
    want = [[1 / 4, 0, 3 / 4], [0, 1, 0], [0.2, 0.3, 0.5]]
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert (np.asarray(got)[~edges] == 0).all()


def test_seventeen_joints_work_as_well():
    model = SemGCN(width=6, blocks=1, skeleton=H36M_17)
    variables = model.init(jax.random.key(0), jnp.zeros((1, 17, 2)))
    assert variables["params"]["output"]["edge_logits"].shape == (49,)
    assert model.apply(variables, jnp.ones((3, 17, 2))).shape == (3, 17, 3)
    with pytest.raises(ConfigError, match="non_local is for skeleton h36m_16 only, not h36m_17"):
        SemGCN(non_local=True, skeleton=H36M_17).init(jax.random.key(0), jnp.zeros((1, 17, 2)))
    with pytest.raises(DataError, match=r"keypoints must be \(batch, 17, 2\), not \(3, 16, 2\)"):
        model.apply(variables, jnp.ones((3, 16, 2)))


@pytest.mark.parametrize("name", ["rsnet", "semgcn"])
def test_input_may_have_joints_that_the_output_lacks(name):
    config = Config(model={"name": name, "width": 6, "blocks": 1})
    variables = init_variables(config, H36M_16, H36M_17)
    keypoints = np.random.default_rng(0).normal(size=(3, 17, 2))
    both = build_model(config, H36M_17).apply(variables, keypoints)
    pose = build_model(config, H36M_16, H36M_17).apply(variables, keypoints)
    np.testing.assert_array_equal(pose, np.delete(both, 9, axis=1))
    with pytest.raises(ConfigError, match="skeleton h36m_17 has joint neck_nose, which .*h36m_16"):
        init_variables(config, H36M_17, H36M_16)


def test_dropout_follows_the_row_of_the_global_batch(rng):
    """Eight devices drop what one would."""
    config = Config(model=SemGCNConfig(width=6, blocks=1, dropout=0.3))
    variables = init_variables(config)
    keypoints = jnp.asarray(rng.normal(size=(16, 16, 2)), jnp.float32)

    def run(axis_name, x, key=1):
        model = build_model(config, axis_name=axis_name)
        rngs = {"dropout": jax.random.key(key)}
        return model.apply(variables, x, train=True, rngs=rngs, mutable=["batch_stats"])[0]

    alone = run(None, keypoints)
    assert np.abs(run(None, keypoints, key=2) - alone).max() > 0.1  # there is dropout
    spread = jax.vmap(lambda x: run("data", x), axis_name="data")(keypoints.reshape(8, 2, 16, 2))
    np.testing.assert_allclose(spread.reshape(16, 16, 3), alone, rtol=0, atol=1e-4)


def test_bfloat16_computes_in_bfloat16_and_returns_float32(rng):
    keypoints = jnp.asarray(rng.normal(size=(2, 16, 2)), jnp.float32)
    config = Config(model=SemGCNConfig(width=8, blocks=1, non_local=True), precision="bfloat16")
    variables = init_variables(config)
    low, state = build_model(config).apply(variables, keypoints, capture_intermediates=True)
    assert low.dtype == jnp.float32
    inner = jax.tree.leaves({k: v for k, v in state["intermediates"].items() if k != "__call__"})
    assert all(leaf.dtype == jnp.bfloat16 for leaf in inner)
    full = build_model(config.model_copy(update={"precision": "highest"}))
    np.testing.assert_allclose(low, full.apply(variables, keypoints), rtol=0.1, atol=0.1)
