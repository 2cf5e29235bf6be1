import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from rsnet_jax.checkpoints import key_tables
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.torch_file import read_state_dict
from rsnet_jax.config import Config, RSNetConfig
from rsnet_jax.errors import DataError
from rsnet_jax.models import PostRefine, RSNet
from rsnet_jax.models.build import build_model, build_refinement, init_variables
from rsnet_jax.pose import camera
from rsnet_jax.pose.skeleton import H36M_16, Skeleton
from rsnet_jax.training import losses

# No two sizes equal: 5 joints, 3 channels, 4 hops... of a body with one pair of mirrored joints.
STAR = Skeleton("star", ("a", "b", "c", "d", "e"), (-1, 0, 0, 1, 1), left=(1,), right=(2,))
SMALL = RSNetConfig(width=7, hops=4, blocks=2)


def gelu(x):
    return x * (1 + erf(x / np.sqrt(2))) / 2


def load(path, config=None):
    tensors = read_state_dict(path)
    config = config or RSNetConfig(width=16)
    return key_tables.to_ours(tensors, key_tables.rsnet_table(config, 16), source="golden")


@pytest.fixture(scope="module")
def released(golden):
    return load(golden / "rsnet/model_rsnet_3_eva_post_4711.pth")


@pytest.fixture(scope="module")
def forward(golden):
    return dict(np.load(golden / "rsnet/forward.npz"))


LAYERS = {
    "gconv_input": "input",
    **{f"gconv_layers.gconv{i + 1}": f"{'gelu' if i % 2 else 'norm'}_{i // 2}" for i in range(8)},
    "non_local": "non_local",
    "gconv_output": "output",
}


@pytest.fixture(scope="module")
def layers(released, forward):
    @jax.jit
    def run(variables, keypoints):
        return RSNet(width=16).apply(
            variables, keypoints, capture_intermediates=True, mutable=["intermediates"]
        )

    return run(released, forward["input_2d"])[1]["intermediates"]


@pytest.mark.parametrize(("published", "ours"), LAYERS.items())
def test_every_layer_matches_the_released_modules(layers, forward, published, ours):
    got = layers[ours]["__call__"][0].T  # channels, joints, batch inside the network
    np.testing.assert_allclose(got, forward[f"layer:{published}"], rtol=0, atol=1e-5)


def test_output_matches_the_released_modules(released, forward):
    got = jax.jit(RSNet(width=16).apply)(released, forward["input_2d"])
    np.testing.assert_allclose(got, forward["output_3d"], rtol=0, atol=1e-5)


def test_a_single_pose_is_a_batch(released, forward):
    got = jax.jit(RSNet(width=16).apply)(released, forward["input_2d"][:1])
    np.testing.assert_allclose(got, forward["output_3d"][:1], rtol=0, atol=1e-5)


def test_bfloat16_stays_near_float32(released, forward):
    got = jax.jit(RSNet(width=16, dtype=jnp.bfloat16).apply)(released, forward["input_2d"])
    assert got.dtype == jnp.float32
    error = np.abs(np.asarray(got) - forward["output_3d"]).mean()
    # bfloat16 keeps 8 bits; some 20 roundings in a row on outputs of order 1.
    assert 1e-5 < error < 0.05 * np.abs(forward["output_3d"]).mean()


@pytest.mark.parametrize("shape", [(16, 2), (1, 17, 2), (1, 16, 3), (1, 2, 16)])
def test_misshapen_keypoints_are_refused(unchecked_calls, shape):
    with pytest.raises(DataError, match=r"\(batch, 16, 2\), not \(.*\)"):
        RSNet().init(jax.random.key(0), jnp.zeros(shape))


# From the paper's repository: the parameters of both published widths and of the refinement.
@pytest.mark.parametrize(("width", "count"), [(96, 3_924_847), (64, 1_768_079)])
def test_parameter_count(width, count):
    shapes = jax.eval_shape(lambda: init_variables(Config(model=RSNetConfig(width=width))))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == count


def test_refinement_parameter_count():
    pose = jnp.zeros((1, 16, 3))
    shapes = jax.eval_shape(PostRefine().init, jax.random.key(0), pose, pose)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 132_128


def test_refinement_and_backprojection_match_the_released_modules(golden):
    data = np.load(golden / "rsnet/refine.npz")
    tensors = read_state_dict(golden / "rsnet/model_post_refine_3_eva_post_4711.pth")
    variables = key_tables.to_ours(tensors, key_tables.refine_table(SMALL, 16), source="golden")
    backprojected = camera.backproject(
        data["pred_3d"],
        data["input_2d"],
        root_depth=data["gt_3d"][:, 0, 2],
        cameras=data["cameras"],
    )
    np.testing.assert_allclose(backprojected, data["xyz"], rtol=0, atol=1e-5)
    refined = PostRefine().apply(variables, data["pred_3d"], backprojected)
    np.testing.assert_allclose(refined, data["refined"], rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def first_gradients(golden):
    """Our gradients of the first step of the golden run, under the published names."""
    config = Config(model=RSNetConfig(width=16, dropout=0, refine_dropout=0))
    variables = load(golden / "rsnet/train_init_rsnet.pth")
    refinement_table = key_tables.refine_table(config.model, 16)
    refinement_tensors = read_state_dict(golden / "rsnet/train_init_post_refine.pth")
    refinement_variables = key_tables.to_ours(refinement_tensors, refinement_table, source="golden")
    run = np.load(golden / "rsnet/train.npz")
    keypoints, truth, cameras = (run[key][0] for key in ("input_2d", "gt_3d", "cameras"))
    target = jnp.asarray(truth).at[:, 0].set(0)

    def objective(params):
        network = {"params": params["network"], "batch_stats": variables["batch_stats"]}
        pose, _ = build_model(config).apply(network, keypoints, train=True, mutable=["batch_stats"])
        backprojected = camera.backproject(
            pose, keypoints, root_depth=truth[:, 0, 2], cameras=cameras
        )
        refined = build_refinement(config).apply(
            {"params": params["refinement"]}, pose, backprojected, train=True
        )
        refine = losses.refinement_loss(refined, target, skeleton=H36M_16)
        return losses.mse_l1(pose, target) + refine

    loss, grads = jax.jit(jax.value_and_grad(objective))(
        {"network": variables["params"], "refinement": refinement_variables["params"]}
    )
    np.testing.assert_allclose(loss, run["loss"][0], rtol=1e-5)
    trained = [e for e in key_tables.rsnet_table(config.model, 16) if e.path[0] == "params"]
    network = key_tables.to_published({"params": grads["network"]}, trained)
    refinement = key_tables.to_published({"params": grads["refinement"]}, refinement_table)
    return {f"rsnet.{k}": v for k, v in network.items()} | {
        f"post_refine.{k}": v for k, v in refinement.items()
    }


def test_first_gradients_match_the_released_modules(golden, first_gradients):
    # Exactly zero there, since the last normalization's scale starts at zero.
    zero = {
        f"rsnet.non_local.{n}.{p}" for n in ("g", "theta", "phi", "W.0") for p in ("weight", "bias")
    }
    for name, want in np.load(golden / "rsnet/train_first_gradients.npz").items():
        if name in zero:
            assert not want.any()
            np.testing.assert_allclose(first_gradients[name], 0, atol=1e-9, err_msg=name)
            continue
        # The scale's gradient is a sum that cancels to a thousandth of its terms.
        share = 5e-4 if name == "rsnet.non_local.W.1.weight" else 1e-5
        tolerance = share * np.abs(want).max()
        np.testing.assert_allclose(
            first_gradients[name], want, rtol=0, atol=tolerance, err_msg=name
        )


def test_unused_biases_have_no_gradient(golden, first_gradients):
    named = set(np.load(golden / "rsnet/train_first_gradients.npz"))
    unused = set(first_gradients) - named
    assert unused == {
        "rsnet.gconv_input.gconv.bias_2",
        "rsnet.gconv_output.bias",
        *(f"rsnet.gconv_layers.gconv{i}.gconv.bias_2" for i in range(1, 9)),
    }
    assert not any(first_gradients[name].any() for name in unused)


def test_dropout_follows_the_row_of_the_global_batch(rng):
    """Rows on several devices get the masks they have on one; their statistics agree too."""
    config = Config(model=RSNetConfig(width=6, blocks=1, dropout=0.3))
    variables = init_variables(config, STAR)
    scale = variables["params"]["non_local"]["norm"]["scale"]
    variables["params"]["non_local"]["norm"]["scale"] = scale + 0.5  # or the block is the identity
    keypoints = rng.normal(size=(8, 5, 2)).astype(np.float32)

    def run(rows, *, axis_name=None, key=3):
        model = build_model(config, STAR, axis_name=axis_name)
        rngs = {"dropout": jax.random.key(key)}
        return model.apply(variables, rows, train=True, rngs=rngs, mutable=["batch_stats"])

    one, stats_one = jax.jit(run)(keypoints)
    on_device = functools.partial(run, axis_name="data")
    many, stats_many = jax.jit(jax.vmap(on_device, axis_name="data"))(keypoints.reshape(4, 2, 5, 2))
    np.testing.assert_allclose(many.reshape(one.shape), one, rtol=0, atol=1e-5)
    chex.assert_trees_all_close(
        jax.tree.map(lambda x: x[0], stats_many), stats_one, rtol=0, atol=1e-5
    )
    other, _ = jax.jit(functools.partial(run, key=4))(keypoints)
    assert np.abs(np.asarray(other) - np.asarray(one)).max() > 1e-3


def test_weights_that_are_not_numbers_are_refused():
    config = Config(model=RSNetConfig(width=6, blocks=1, dropout=0.3))
    variables = init_variables(config, STAR)
    weight = variables["params"]["norm_0"]["conv"]["weight"]
    variables["params"]["norm_0"]["conv"]["weight"] = weight.at[0, 0, 0, 0].set(jnp.nan)
    with pytest.raises(Exception, match="params/norm_0/conv/weight has NaN"):
        Checkpoint(variables, None, config, STAR, source="made up")


def test_dropout_is_where_the_paper_has_it(rng):
    """Block I: after the normalization. Block II: between the two GELUs."""
    config = Config(model=RSNetConfig(width=40, blocks=1, dropout=0.25))
    variables = init_variables(config, STAR)
    keypoints = rng.normal(size=(64, 5, 2)).astype(np.float32)

    @jax.jit
    def run(variables, keypoints):
        return build_model(config, STAR).apply(
            variables,
            keypoints,
            train=True,
            rngs={"dropout": jax.random.key(5)},
            capture_intermediates=True,
            mutable=["batch_stats", "intermediates"],
        )

    found = run(variables, keypoints)[1]["intermediates"]
    rate, masks = 64 / 256, []
    for block in ("input", "norm_0", "gelu_0"):
        out = np.asarray(found[block]["__call__"][0].T, np.float64)
        dropped = out == 0
        assert dropped.mean() == pytest.approx(rate, abs=0.01), block
        if block == "norm_0":
            inner = np.asarray(found[block]["norm"]["__call__"][0].T, np.float64)
            want = np.where(dropped, 0, inner / (1 - rate))
        else:
            inner = np.asarray(found[block]["conv"]["__call__"][0].T, np.float64)
            want = gelu(np.where(dropped, 0, gelu(inner) / (1 - rate)))
        np.testing.assert_allclose(out, want, rtol=1e-4, atol=1e-6)
        masks.append(dropped.reshape(64, -1))
    assert (masks[1] != masks[2]).mean() > 0.3  # every block draws its own


def test_gradients_under_strict_promotion_are_float32(rng):
    """Strict promotion: no other type slips into a computation in float32."""
    config = Config(model=RSNetConfig(width=4, blocks=1))
    variables = init_variables(config, STAR)
    keypoints = jnp.asarray(rng.normal(size=(4, 5, 2)), jnp.float32)

    def loss(params):
        network = {"params": params, "batch_stats": variables["batch_stats"]}
        pose, _ = build_model(config, STAR).apply(
            network,
            keypoints,
            train=True,
            rngs={"dropout": jax.random.key(0)},
            mutable=["batch_stats"],
        )
        return jnp.sum(jnp.square(pose))

    with jax.numpy_dtype_promotion("strict"):
        grads = jax.jit(jax.grad(loss))(variables["params"])
    assert {leaf.dtype for leaf in jax.tree.leaves(grads)} == {jnp.dtype(jnp.float32)}


def test_bfloat16_is_kept_between_layers(rng):
    """Flax's own layer norm mixes types under strict promotion; what it returns counts."""
    config = Config(model=RSNetConfig(width=4, blocks=1), precision="bfloat16")
    variables = init_variables(config, STAR)
    assert {x.dtype for x in jax.tree.leaves(variables["params"])} == {jnp.dtype(jnp.float32)}
    keypoints = jnp.asarray(rng.normal(size=(4, 5, 2)), jnp.float32)
    _, found = build_model(config, STAR).apply(
        variables, keypoints, capture_intermediates=True, mutable=["intermediates"]
    )
    outputs = dict(found["intermediates"])
    assert outputs.pop("__call__")[0].dtype == jnp.float32
    assert {x.dtype for x in jax.tree.leaves(outputs)} == {jnp.dtype(jnp.bfloat16)}
