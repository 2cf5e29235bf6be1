"""The steps of training and prediction: pure functions of arrays, compiled by their callers."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rsnet_jax.checkpoints.weights import Variables
from rsnet_jax.models import PostRefine, RSNet
from rsnet_jax.pose import metrics
from rsnet_jax.pose.camera import backproject
from rsnet_jax.pose.skeleton import Skeleton
from rsnet_jax.training import losses


class Batch(NamedTuple):
    """Views of poses."""

    keypoints_2d: Any  # (batch, joint, 2) normalized image coordinates
    joints_3d: Any  # (batch, joint, 3) meters, camera axes; joint 0 absolute, others relative
    cameras: Any  # (batch, 9) camera vectors


class Table(NamedTuple):
    """The arrays of `data.frames.Frames` that training needs."""

    keypoints_2d: Any  # (frame, joint, 2)
    joints_3d: Any  # (frame, joint, 3)
    camera: Any  # (frame,) row of `camera_vectors`
    camera_vectors: Any  # (camera, 9)


class TrainState(NamedTuple):
    """Everything that changes in training; arrays only."""

    step: Any  # () int32, optimizer steps so far
    params: Any  # {"network": ..., "head": ...}; no "head" without refinement
    batch_stats: Any
    opt_state: Any
    sums: Any  # over the steps of this epoch: {"loss": (), "mpjpe": () of the lifted pose, meters}


def fresh_sums() -> dict[str, Array]:
    """`TrainState.sums` at the start of an epoch."""
    return {"loss": jnp.zeros(()), "mpjpe": jnp.zeros(())}


def relative_target(joints_3d: Float[Array, "batch joint 3"]) -> Float[Array, "batch joint 3"]:
    """The pose to be predicted: the frame table's, with joint 0 at the origin."""
    return jnp.asarray(joints_3d).at[:, 0].set(0)


def mirror(
    pose: Float[Array, "*batch joint axis"], skeleton: Skeleton
) -> Float[Array, "*batch joint axis"]:
    """Mirrors 2D or 3D poses: x changes its sign, left and right joints change places."""
    flipped = jnp.asarray(pose).at[..., 0].multiply(-1)
    return flipped[..., list(skeleton.mirror), :]


def mirror_camera(cameras: Float[Array, "batch 9"]) -> Float[Array, "batch 9"]:
    """The camera that sees the mirrored scene: c_x and p1 change their sign."""
    return jnp.asarray(cameras).at[:, jnp.array([2, 7])].multiply(-1)


def gather(table: Table, rows: Int[Array, " batch"], skeleton: Skeleton) -> Batch:
    """Rows of a table of n frames; row n + i is the mirror image of row i."""
    count = len(table.keypoints_2d)
    mirrored = (rows >= count)[:, None, None]
    frame = rows % count
    keypoints, joints = table.keypoints_2d[frame], table.joints_3d[frame]
    cameras = table.camera_vectors[table.camera[frame]]
    return Batch(
        jnp.where(mirrored, mirror(keypoints, skeleton), keypoints),
        jnp.where(mirrored, mirror(joints, skeleton), joints),
        jnp.where(mirrored[:, :, 0], mirror_camera(cameras), cameras),
    )


def make_train_step(
    model: RSNet,
    head: PostRefine | None,
    tx: optax.GradientTransformation,
    *,
    absolute_symmetry: bool = False,
) -> Callable[[TrainState, Batch, PRNGKeyArray], TrainState]:
    """Returns `step(state, batch, key) -> state`, per-device code over the axis of `model`.

    `batch` is this device's part of the global batch, `key` that of the step; what is added to
    `state.sums` are means over the global batch.
    """
    axis_name, skeleton = model.axis_name, model.skeleton

    def objective(params: Any, batch_stats: Any, batch: Batch, key: PRNGKeyArray):
        variables = {"params": params["network"], "batch_stats": batch_stats}
        rngs = {"dropout": jax.random.fold_in(key, 0)}
        pose, updated = model.apply(
            variables, batch.keypoints_2d, train=True, rngs=rngs, mutable=["batch_stats"]
        )
        target = relative_target(batch.joints_3d)
        loss = losses.lifting_loss(pose, target)
        error = metrics.mpjpe(pose, target).mean()
        if head is not None:
            rays = backproject(
                pose,
                batch.keypoints_2d,
                root_depth=batch.joints_3d[:, 0, 2],
                cameras=batch.cameras,
            )
            rngs = {"dropout": jax.random.fold_in(key, 1)}
            refined = head.apply({"params": params["head"]}, pose, rays, train=True, rngs=rngs)
            loss += losses.refinement_loss(
                jnp.asarray(refined),
                target,
                skeleton=skeleton,
                absolute_symmetry=absolute_symmetry,
            )
        return loss, (updated["batch_stats"], {"loss": loss, "mpjpe": error})

    def step(state: TrainState, batch: Batch, key: PRNGKeyArray) -> TrainState:
        grads, (batch_stats, measured) = jax.grad(objective, has_aux=True)(
            state.params, state.batch_stats, batch, key
        )
        if axis_name is not None:  # after the gradient, not through it: see docs/design.md, 2.3
            grads, measured = jax.lax.pmean((grads, measured), axis_name)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        return TrainState(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            batch_stats=batch_stats,
            opt_state=opt_state,
            sums=jax.tree.map(jnp.add, state.sums, measured),
        )

    return step


def make_run(
    step: Callable[[TrainState, Batch, PRNGKeyArray], TrainState],
    *,
    skeleton: Skeleton,
    axis_name: str,
    rows: int,
    devices: int,
    steps_per_epoch: int,
    length: int,
    key: PRNGKeyArray,
) -> Callable[[TrainState, Table, Int[Array, " sample"], Int[Array, ""]], TrainState]:
    """Returns `run(state, table, order, until) -> state`: `length` steps, but none from `until` on.

    Per-device code; each device takes its `rows` of every global batch from `order`, the epoch's
    order of the rows of `table`. Steps past the end are computed and dropped, so that one program
    serves every epoch and its loop has a length known beforehand: an accelerator would ask the host
    before each turn of any other.
    """

    def run(
        state: TrainState, table: Table, order: Int[Array, " sample"], until: Int[Array, ""]
    ) -> TrainState:
        def body(state: TrainState, _: None) -> tuple[TrainState, None]:
            batch = (state.step % steps_per_epoch) * devices + jax.lax.axis_index(axis_name)
            mine = jax.lax.dynamic_slice(order, (batch * rows,), (rows,))
            step_key = jax.random.fold_in(key, state.step)
            after = step(state, gather(table, mine, skeleton), step_key)
            due = state.step < until
            return jax.tree.map(lambda old, new: jnp.where(due, new, old), state, after), None

        return jax.lax.scan(body, state, length=length)[0]

    return run


def lift(
    model: RSNet,
    variables: Variables,
    keypoints: Float[Array, "batch joint 2"],
    *,
    flip_test: bool,
) -> Float[Array, "batch joint 3"]:
    """Lifts poses; with `flip_test` each is the mean of its own and its mirror image's lifting."""

    def run(rows: Array) -> Array:
        return jnp.asarray(model.apply(variables, rows))

    if not flip_test:
        return run(keypoints)
    both = jnp.concatenate([keypoints, mirror(keypoints, model.skeleton)])
    pose, mirrored = jnp.split(run(both), 2)
    return (pose + mirror(mirrored, model.skeleton)) / 2


def recenter(pose: Float[Array, "batch joint 3"]) -> Float[Array, "batch joint 3"]:
    """Makes poses relative to their joint 0."""
    return pose - pose[:, :1]


def zero_root(pose: Float[Array, "batch joint 3"]) -> Float[Array, "batch joint 3"]:
    """What the published evaluation does in place of `recenter`.

    It subtracts joint 0 from a view of itself, which on a CPU only sets joint 0 to zero.
    """
    return pose.at[:, 0].set(0)


def make_predict_step(
    model: RSNet,
    head: PostRefine | None,
    *,
    flip_test: bool,
    published: bool = False,
    refine_dropout: bool = False,
) -> Callable[[Variables, Variables | None, Batch, Array], dict[str, Array]]:
    """Returns `step(variables, head_variables, batch, key) -> poses`.

    Poses are {"lifted": (batch, joint, 3)} and, with a head, "refined": meters, camera axes,
    relative to joint 0 (see `zero_root` for `published`). `key` is used with `refine_dropout` only.
    """
    center = zero_root if published else recenter

    def step(variables: Variables, head_variables: Variables | None, batch: Batch, key: Array):
        pose = lift(model, variables, batch.keypoints_2d, flip_test=flip_test)
        poses = {"lifted": center(pose)}
        if head is not None and head_variables is not None:
            # The head sees the true depth of the pelvis, as in the published evaluation.
            root_depth = batch.joints_3d[:, 0, 2]
            rays = backproject(
                pose, batch.keypoints_2d, root_depth=root_depth, cameras=batch.cameras
            )
            refined = head.apply(
                head_variables, pose, rays, train=refine_dropout, rngs={"dropout": key}
            )
            poses["refined"] = center(jnp.asarray(refined))
        return poses

    return step
