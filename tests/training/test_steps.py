import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rsnet_jax.config import Config, DataConfig, ParallelConfig, RSNetConfig
from rsnet_jax.data.batches import Table, gather
from rsnet_jax.data.load import load_frames
from rsnet_jax.distributed.devices import AXIS, Devices
from rsnet_jax.models.build import (
    build_model,
    build_refinement,
    init_refinement_variables,
    init_variables,
)
from rsnet_jax.models.flip_test import lift
from rsnet_jax.pose.camera import project
from rsnet_jax.pose.skeleton import H36M_16
from rsnet_jax.pose.transforms import mirror
from rsnet_jax.training.step import TrainState, fresh_sums, make_train_loop, make_train_step

CONFIG = Config(model=RSNetConfig(width=4, blocks=1))  # of the smoke preset: compiled already
samples_of = functools.partial(gather, skeleton=H36M_16, keypoint_skeleton=H36M_16)


@pytest.fixture(scope="module")
def network():
    return build_model(CONFIG), init_variables(CONFIG)


def test_mirror_by_hand(rng):
    pose = rng.normal(size=(2, 16, 3)).astype(np.float32)
    got = np.asarray(mirror(pose, H36M_16))
    left, right = H36M_16.joints.index("left_wrist"), H36M_16.joints.index("right_wrist")
    np.testing.assert_array_equal(got[:, left], pose[:, right] * [-1, 1, 1])
    np.testing.assert_array_equal(got[:, right], pose[:, left] * [-1, 1, 1])
    np.testing.assert_array_equal(got[:, 8], pose[:, 8] * [-1, 1, 1])
    np.testing.assert_array_equal(mirror(got, H36M_16), pose)


def test_flip_test_makes_the_network_symmetric(rng, network):
    model, variables = network
    keypoints = rng.normal(size=(3, 16, 2)).astype(np.float32)
    run = jax.jit(lambda x: lift(model, variables, x, flip_test=True))
    mirrored = run(np.asarray(mirror(keypoints, H36M_16)))
    np.testing.assert_allclose(mirror(run(keypoints), H36M_16), mirrored, rtol=0, atol=1e-5)
    plain = model.apply(variables, keypoints)
    again = mirror(model.apply(variables, mirror(keypoints, H36M_16)), H36M_16)
    np.testing.assert_allclose(run(keypoints), (plain + again) / 2, rtol=0, atol=1e-5)
    assert np.abs(np.asarray(plain - again)).max() > 1e-2  # the network alone is not


@pytest.fixture(scope="module")
def table():
    frames = load_frames(DataConfig(every=30), "test")
    return Table(frames.keypoints_2d, frames.joints_3d, frames.camera, frames.camera_vectors)


def test_mirrored_samples_are_views_of_the_mirrored_scene(table):
    """Projecting the mirrored pose with the mirrored camera gives the mirrored keypoints."""
    count = len(table.keypoints_2d)
    rows = np.arange(2 * count)
    batch = jax.tree.map(np.asarray, samples_of(jax.tree.map(np.asarray, table), rows))
    points = batch.joints_3d.copy()
    points[:, 1:] += points[:, :1]
    for i in rows:
        seen = project(points[i], batch.cameras[i])
        np.testing.assert_allclose(batch.keypoints_2d[i], seen, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(batch.keypoints_2d[:count], table.keypoints_2d)
    left, right = H36M_16.joints.index("left_knee"), H36M_16.joints.index("right_knee")
    np.testing.assert_array_equal(
        batch.joints_3d[count:, left], table.joints_3d[:, right] * np.float32([-1, 1, 1])
    )
    lens = table.camera_vectors[table.camera]
    np.testing.assert_array_equal(
        batch.cameras[count:], lens * np.float32([1, 1, -1, 1, 1, 1, 1, -1, 1])
    )


def train_on(devices, strategy, table, *, steps=20, rate=0.05):
    """Plain SGD with dropout: Adam would turn rounding noise in zero gradients into full steps."""
    parallel = ParallelConfig(devices=devices, strategy=strategy)
    config = CONFIG.model_copy(update={"parallel": parallel})
    where, tx = Devices.choose(config.parallel), optax.sgd(rate)
    step = make_train_step(
        build_model(config, axis_name=AXIS), build_refinement(config, axis_name=AXIS), tx
    )
    network, refinement = init_variables(config), init_refinement_variables(config)
    params = {"network": network["params"], "refinement": refinement["params"]}
    state = TrainState(jnp.int32(0), params, network["batch_stats"], tx.init(params), fresh_sums())
    run = where.compile_spmd(
        make_train_loop(
            step,
            skeleton=H36M_16,
            keypoint_skeleton=H36M_16,
            axis_name=AXIS,
            rows=16 // devices,
            devices=devices,
            steps_per_epoch=5,
            length=10,
            key=jax.random.key(1),
        ),
        donate=True,
    )
    order = jax.random.permutation(jax.random.key(2), 2 * len(table.camera))
    arguments = [where.replicate(x) for x in (state, table, order)]
    state = run(*arguments, where.replicate(jnp.int32(steps // 2)))
    state = run(state, *arguments[1:], where.replicate(jnp.int32(steps)))
    return jax.device_get(state)


@pytest.fixture(scope="module")
def on_one_device(table):
    return train_on(1, "mesh", table)


def assert_same_tensor(got, want):
    """Within 1e-5 of the tensor's largest entry."""
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize(
    ("devices", "strategy"),
    [
        pytest.param(1, "pmap", marks=pytest.mark.slow),
        (4, "mesh"),
        pytest.param(8, "pmap", marks=pytest.mark.slow),
    ],
)
def test_training_does_not_depend_on_the_devices(table, on_one_device, devices, strategy):
    many = train_on(devices, strategy, table)
    assert many.step == on_one_device.step == 20
    start = init_variables(CONFIG)["params"]
    moved = jnp.sqrt(
        sum(
            jnp.sum((a - b) ** 2)
            for a, b in zip(
                jax.tree.leaves(on_one_device.params["network"]),
                jax.tree.leaves(start),
                strict=True,
            )
        )
    )
    assert moved > 0.01
    for name in ("params", "batch_stats", "sums"):
        jax.tree.map(assert_same_tensor, getattr(many, name), getattr(on_one_device, name))


@pytest.mark.parametrize("devices", [1, 8])
def test_a_run_follows_the_order_and_draws_new_keys(table, devices):
    """A step that only notes what it is given: rows in the epoch's order, a key for each step."""
    rows, steps, length = 8, 5, 4
    count = 2 * len(table.camera)
    # The pelvis tells a row of the table and its mirror image from every other.
    numbered = table._replace(
        joints_3d=np.tile(np.arange(1.0, count // 2 + 1)[:, None, None], (1, 16, 3)).astype(
            np.float32
        )
    )

    def note(state, batch, key):
        seen = jax.lax.all_gather(batch.joints_3d[:, 0, 0], AXIS, tiled=True)
        sums = {
            "seen": state.sums["seen"].at[state.step].set(seen),
            "keys": state.sums["keys"].at[state.step].set(jax.random.key_data(key)),
        }
        return state._replace(step=state.step + 1, sums=sums)

    where = Devices.choose(ParallelConfig(devices=devices))
    run = where.compile_spmd(
        make_train_loop(
            note,
            skeleton=H36M_16,
            keypoint_skeleton=H36M_16,
            axis_name=AXIS,
            rows=rows // devices,
            devices=devices,
            steps_per_epoch=steps,
            length=length,
            key=jax.random.key(1),
        ),
        donate=True,
    )
    sums = {"seen": jnp.zeros((steps, rows)), "keys": jnp.zeros((steps, 2), jnp.uint32)}
    state = TrainState(jnp.int32(0), {}, {}, {}, sums)
    order = jax.random.permutation(jax.random.key(2), count)
    arguments = [where.replicate(x) for x in (state, numbered, order)]
    state = run(*arguments, where.replicate(jnp.int32(3)))  # one step less than its length
    assert state.step == 3
    assert not state.sums["seen"][3:].any()
    state = jax.device_get(run(state, *arguments[1:], where.replicate(jnp.int32(steps))))
    want = np.asarray(order)[: steps * rows].reshape(steps, rows)
    frame = want % (count // 2) + 1
    np.testing.assert_array_equal(state.sums["seen"], np.where(want < count // 2, frame, -frame))
    assert len({key.tobytes() for key in state.sums["keys"]}) == steps


def test_options_of_the_step_reach_the_loss(table):
    """The sign of the symmetry penalty, and the dropout of the head."""
    batch = samples_of(jax.tree.map(jnp.asarray, table), jnp.arange(16))

    def loss(*, absolute=False, head_dropout=0.5, key=0):
        config = Config(
            model=RSNetConfig(width=4, blocks=1, dropout=0, refine_dropout=head_dropout)
        )
        network, refinement = init_variables(config), init_refinement_variables(config)
        params = {"network": network["params"], "refinement": refinement["params"]}
        tx = optax.sgd(0.1)
        state = TrainState(
            jnp.int32(0), params, network["batch_stats"], tx.init(params), fresh_sums()
        )
        step = make_train_step(
            build_model(config), build_refinement(config), tx, absolute_symmetry=absolute
        )
        return float(jax.jit(step)(state, batch, jax.random.key(key)).sums["loss"])

    assert loss() == loss()
    assert loss(absolute=True) > loss()
    assert loss(key=1) != loss()
    assert loss(head_dropout=0, key=1) == loss(head_dropout=0)
