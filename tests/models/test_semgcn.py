"""SemGCN against the golden files of the official modules."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rsnet_jax.checkpoints import key_tables
from rsnet_jax.checkpoints.published import load_torch_checkpoint, to_published
from rsnet_jax.config import Config, SemGCNConfig
from rsnet_jax.errors import ConfigError, DataError
from rsnet_jax.models.build import build_model, init_variables
from rsnet_jax.models.edge_softmax import bones_and_self, edge_softmax
from rsnet_jax.models.semgcn import SemGCN
from rsnet_jax.pose.skeleton import H36M_16, H36M_17
from rsnet_jax.training.losses import mse


@pytest.fixture(scope="module", params=["semgcn", "semgcn_nonlocal"])
def case(request, golden):
    folder = golden / "peers" / request.param
    return load_torch_checkpoint(folder / "state_dict.pth"), np.load(folder / "golden.npz")


def close(got, want, *, name=""):
    """Within 1e-5 of the largest number, as the suite of golden files suggests for float32."""
    tolerance = 1e-5 * (1 + np.abs(want).max())
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance, err_msg=name)


def test_graph_is_that_of_the_official_code(case):
    _, data = case
    np.testing.assert_array_equal(bones_and_self(H36M_16), data["adj"] > 0)


def test_outputs_and_activations_match_the_official_modules(case):
    checkpoint, data = case
    pose, state = jax.jit(
        lambda variables, x: checkpoint.model.apply(variables, x, capture_intermediates=True)
    )(checkpoint.variables, data["x"])
    close(pose, data["y_eval"])
    np.testing.assert_allclose(pose, data["y_eval_f64"], rtol=0, atol=1e-4)
    made = state["intermediates"]

    def out(*path):
        tree = made
        for name in path:
            tree = tree[name]
        return np.asarray(tree["__call__"][0])

    blocks, non_local = checkpoint.config.model.blocks, checkpoint.config.model.non_local
    x, acts = out("input"), {"gconv_input.0.gconv": out("input", "conv")}
    if non_local:
        acts["gconv_input.0"], x = x, out("non_local_0")
    acts["gconv_input"] = x
    for i in range(blocks):
        x = x + out(f"second_{i}")
        acts[f"gconv_layers.{2 * i if non_local else i}"] = x
        if non_local:
            x = acts[f"gconv_layers.{2 * i + 1}"] = out(f"non_local_{i + 1}")
    acts["gconv_layers"] = x
    wanted = {key.removeprefix("act/") for key in data.files if key.startswith("act/")}
    assert wanted <= set(acts)
    for name in wanted:
        close(acts[name], data[f"act/{name}"], name=name)


def test_training_step_matches_the_official_modules(case):
    """Output, loss, gradients and running statistics of one pass in training mode."""
    checkpoint, data = case

    @jax.jit
    def run(params, x):
        def objective(params, x):
            variables = {"params": params, "batch_stats": checkpoint.variables["batch_stats"]}
            pose, updated = checkpoint.model.apply(
                variables, x, train=True, mutable=["batch_stats"]
            )
            return mse(pose, data["train_target"]), (pose, updated["batch_stats"])

        return jax.value_and_grad(objective, argnums=(0, 1), has_aux=True)(params, x)

    (loss, (pose, stats)), (grads, grad_x) = run(checkpoint.variables["params"], data["x"])
    close(pose, data["train_y"])
    np.testing.assert_allclose(loss, data["train_loss"], rtol=1e-5)
    np.testing.assert_allclose(grad_x, data["grad/x"], atol=1e-4 * np.abs(data["grad/x"]).max())

    model = checkpoint.config.model
    table = key_tables.KEY_TABLES["semgcn"].entries(model, H36M_16)
    trained = [entry for entry in table if entry.path[0] == "params"]
    got = key_tables.to_published({"params": grads}, trained)
    wanted = {key.removeprefix("grad/") for key in data.files if key.startswith("grad/")} - {"x"}
    assert len(wanted) >= 3 and wanted <= set(got)
    for name in wanted:
        want = data[f"grad/{name}"]
        tolerance = 1e-4 * np.abs(want).max()
        np.testing.assert_allclose(got[name], want, rtol=0, atol=tolerance, err_msg=name)

    statistics = [entry for entry in table if entry.path[0] == "batch_stats"]
    after = key_tables.to_published({"batch_stats": stats}, statistics)
    for name in (key for key in data.files if key.startswith("bn_after/")):
        close(after[name.removeprefix("bn_after/")], data[name], name=name)


def test_conversion_is_exact_and_accounts_for_every_tensor(case, golden):
    checkpoint, _ = case
    non_local = checkpoint.config.model.non_local
    folder = golden / "peers" / ("semgcn_nonlocal" if non_local else "semgcn")
    about = json.loads((folder / "meta.json").read_text())
    model = SemGCNConfig(width=about["hid_dim"], blocks=about["num_layers"], non_local=non_local)
    assert checkpoint.config == Config(model=model)
    assert checkpoint.skeleton == H36M_16
    parameters = sum(leaf.size for leaf in jax.tree.leaves(checkpoint.variables["params"]))
    assert parameters == about["num_params"]
    network, refinement = to_published(checkpoint)
    assert {name: list(array.shape) for name, array in network.items()} == about["tensors"]
    assert refinement == {}
    # The dict of the training script, in torch's older container and in its zip container.
    wrapped = load_torch_checkpoint(folder / "ckpt_best.pth.tar")
    assert wrapped.config == checkpoint.config
    assert wrapped.fingerprint == checkpoint.fingerprint


@pytest.mark.parametrize("case_name", ["semgcn", "semgcn_nonlocal"])
def test_fresh_tensors_are_drawn_as_torch_draws_them(golden, case_name):
    reference = json.loads((golden / f"peers/init_stats/{case_name}.json").read_text())
    config = Config(model=SemGCNConfig(non_local=case_name == "semgcn_nonlocal"))
    variables = init_variables(config)
    assert (
        sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == reference["parameters"]
    )
    table = key_tables.KEY_TABLES["semgcn"].entries(config.model, H36M_16)
    network = key_tables.to_published(variables, table)
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    assert set(reference["stats"]) == {name for name in network if not name.endswith(buffers)}
    for name, (shape, low, high, _, std) in reference["stats"].items():
        got = network[name]
        assert list(got.shape) == shape, name
        if low == high:
            np.testing.assert_array_equal(got, np.float32(low), err_msg=name)
        elif "nonlocal" in name:  # normal: no bound
            fan_in = got.size if "concat" in name else got.shape[1]
            wanted = math.sqrt(2 / fan_in)
            assert std == pytest.approx(wanted, rel=4 / math.sqrt(2 * got.size)), name
            assert got.std() == pytest.approx(wanted, rel=4 / math.sqrt(2 * got.size)), name
        else:
            bound = 1 / math.sqrt(got.shape[-1])
            if name.endswith(".W"):
                _, chan, out = got.shape
                bound = 1.414 * math.sqrt(6 / ((2 + chan) * out))
            bound *= 1 + 1e-6
            assert -bound <= low < high <= bound, f"the formula is not that of {name}"
            assert np.abs(got).max() <= bound, name
            expected = bound / math.sqrt(3)
            assert got.std() == pytest.approx(expected, rel=5 * 0.45 / math.sqrt(got.size)), name


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
