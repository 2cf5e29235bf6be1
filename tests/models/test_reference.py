"""The plain network against the released modules, and the fast network against the plain one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_tensors import random_tensors

from rsnet_jax.checkpoints import key_tables
from rsnet_jax.checkpoints.torch_file import read_state_dict
from rsnet_jax.config import Config, RSNetConfig
from rsnet_jax.models import PostRefine, reference
from rsnet_jax.models.build import build_model
from rsnet_jax.pose.skeleton import H36M_16, Skeleton

# No two sizes equal: 5 joints, 3 poses, 2 channels... of a body with one pair of mirrored joints.
STAR = Skeleton("star", ("a", "b", "c", "d", "e"), (-1, 0, 0, 1, 1), left=(1,), right=(2,))
CHAIN = Skeleton("chain", tuple("abcdefg"), (-1, 0, 1, 2, 3, 4, 5), left=(), right=())
# With fewer poses than joints the network takes a path of its own.
FEW = dict(width=7, hops=4, blocks=1), STAR, 3
MANY = dict(width=6, hops=3, blocks=2), STAR, 9
ONE = dict(width=4, hops=1, blocks=3), CHAIN, 1
EQUAL = dict(width=5, hops=2, blocks=1), CHAIN, 7
# Without effect on what comes after them: softmax and BatchNorm take out what they add.
NO_EFFECT = "['phi']['bias']", "['g']['bias']", "['out']['bias']"


def wide(tree):
    """A tree in float64; integers stay."""
    return jax.tree.map(
        lambda x: jnp.asarray(x, jnp.float64 if jnp.issubdtype(x.dtype, jnp.floating) else x.dtype),
        tree,
    )


def random_network(rng, sizes, skeleton, batch):
    model, joints = RSNetConfig(**sizes, dropout=0), skeleton.num_joints
    tensors = random_tensors(rng, joints=joints, **sizes)
    table = key_tables.rsnet_table(model, joints)
    keypoints = rng.normal(size=(batch, joints, 2)).astype(np.float32)
    return model, key_tables.to_ours(tensors, table, source="random"), keypoints


def test_reference_matches_the_released_modules(golden):
    data = np.load(golden / "rsnet/forward.npz")
    tensors = read_state_dict(golden / "rsnet/model_rsnet_3_eva_post_4711.pth")
    table = key_tables.rsnet_table(RSNetConfig(width=16), 16)
    variables = key_tables.to_ours(tensors, table, source="golden")
    plain = functools.partial(reference.rsnet, skeleton=H36M_16)
    got = jax.jit(plain)(variables, data["input_2d"])
    np.testing.assert_allclose(got, data["output_3d"], rtol=0, atol=1e-5)


def test_reference_refinement_matches_the_released_module(golden):
    data = np.load(golden / "rsnet/refine.npz")
    tensors = read_state_dict(golden / "rsnet/model_post_refine_3_eva_post_4711.pth")
    table = key_tables.refine_table(RSNetConfig(width=16), 16)
    variables = key_tables.to_ours(tensors, table, source="golden")
    pose, backprojected = jnp.asarray(data["pred_3d"]), jnp.asarray(data["xyz"])
    got = reference.post_refine(variables, pose, backprojected)
    np.testing.assert_allclose(got, data["refined"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("sizes", "skeleton", "batch", "double_gelu"),
    [(*FEW, True), (*MANY, True), (*ONE, False), (*EQUAL, False)],
)
def test_network_of_any_size_and_skeleton_matches_the_reference(
    rng, sizes, skeleton, batch, double_gelu
):
    model, variables, keypoints = random_network(rng, sizes, skeleton, batch)
    config = Config(model=model.model_copy(update={"double_gelu": double_gelu}))
    got = jax.jit(build_model(config, skeleton).apply)(variables, keypoints)
    plain = functools.partial(reference.rsnet, skeleton=skeleton, double_gelu=double_gelu)
    with jax.enable_x64(True):
        want = jax.jit(plain)(wide(variables), wide(keypoints))
        assert want.dtype == jnp.float64
    # float32 against float64 through all layers; outputs reach several hundreds.
    np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5 * np.abs(want).max())


@pytest.mark.parametrize(("sizes", "skeleton", "batch"), [FEW, MANY])
def test_network_in_training_matches_the_reference(rng, sizes, skeleton, batch):
    """Pose, batch statistics and the gradients of all weights; without dropout."""
    model, variables, keypoints = random_network(rng, sizes, skeleton, batch)
    network = build_model(Config(model=model), skeleton)
    pull = rng.normal(size=(batch, skeleton.num_joints, 3)).astype(np.float32)

    def fast(params, keypoints, batch_stats):
        pose, updated = network.apply(
            {"params": params, "batch_stats": batch_stats},
            keypoints,
            train=True,
            mutable=["batch_stats"],
        )
        return jnp.sum(pose * pull), (pose, updated["batch_stats"])

    def plain(params, keypoints, batch_stats):
        pose, updated = reference.forward(
            {"params": params, "batch_stats": batch_stats},
            keypoints,
            skeleton=skeleton,
            double_gelu=True,
            train=True,
        )
        return jnp.sum(pose * pull), (pose, updated)

    def with_gradients(function):
        return jax.jit(jax.value_and_grad(function, argnums=(0, 1), has_aux=True))

    arguments = variables["params"], jnp.asarray(keypoints), variables["batch_stats"]
    (_, got), got_gradients = with_gradients(fast)(*arguments)
    with jax.enable_x64(True):
        (_, want), want_gradients = with_gradients(plain)(*wide(arguments))
    close(got, want, share=2e-5)
    close(got_gradients, want_gradients, share=1e-4)


def close(got, want, *, share):
    """All arrays of two trees agree, within a share of the largest entry of each."""
    assert jax.tree.structure(got) == jax.tree.structure(want)
    largest = max(np.abs(y).max() for y in jax.tree.leaves(want))
    for (path, x), y in zip(jax.tree.leaves_with_path(got), jax.tree.leaves(want), strict=True):
        name = jax.tree_util.keystr(path)
        tolerance = share * (largest if name.endswith(NO_EFFECT) else np.abs(y).max())
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance, err_msg=name)


def test_refinement_matches_the_reference(rng):
    """Five joints and 11 hidden units."""
    pose, backprojected = rng.normal(size=(2, 3, 5, 3)).astype(np.float32)
    module = PostRefine(hidden=11)
    variables = module.init(jax.random.key(1), pose, backprojected)
    got = module.apply(variables, pose, backprojected)
    with jax.enable_x64(True):
        want = reference.post_refine(wide(variables), wide(pose), wide(backprojected))
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)
