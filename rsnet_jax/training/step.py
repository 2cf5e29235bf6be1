"""The training step and the loop over it: pure functions of arrays, compiled by `program`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rsnet_jax.config import LossName
from rsnet_jax.data.batches import Batch, Block, Table, gather
from rsnet_jax.models import PostRefine
from rsnet_jax.models.build import Variables
from rsnet_jax.models.flip_test import joint_errors
from rsnet_jax.models.network import SOWN, Network
from rsnet_jax.models.person_frame import in_person_frame, to_camera
from rsnet_jax.pose import metrics
from rsnet_jax.pose.camera import backproject
from rsnet_jax.pose.skeleton import Skeleton
from rsnet_jax.pose.transforms import relative_target
from rsnet_jax.training import losses
from rsnet_jax.training.occlusion import Hide


class TrainState(NamedTuple):
    """Everything that changes in training; arrays only."""

    step: Any  # () int32, optimizer steps so far
    params: Any  # {"network": ..., "refinement": ...}; the second only if there is one
    batch_stats: Any
    opt_state: Any
    sums: Any  # over the steps of this epoch: {"loss": (), "mpjpe": () of the lifted pose, meters}


def fresh_sums(seeds: int = 1) -> dict[str, Array]:
    """`TrainState.sums` at the start of an epoch; those of several seeds have an axis for them."""
    shape = () if seeds == 1 else (seeds,)
    return {"loss": jnp.zeros(shape), "mpjpe": jnp.zeros(shape)}


def weights_of(state: TrainState) -> dict[str, Any]:
    """The arrays of an evaluation, in the layout of `rsnet_jax.checkpoints.orbax_folder`."""
    weights = {"network": {"params": state.params["network"], "batch_stats": state.batch_stats}}
    if "refinement" in state.params:
        weights["refinement"] = {"params": state.params["refinement"]}
    return weights


def networks(state: TrainState) -> tuple[Variables, Variables | None]:
    """The variables of the network and of the refinement, if there is one."""
    weights = weights_of(state)
    return weights["network"], weights.get("refinement")


def make_train_step(
    model: Network,
    refinement: PostRefine | None,
    tx: optax.GradientTransformation,
    *,
    loss: LossName = "mse_l1",
    absolute_symmetry: bool = False,
    hide: Hide | None = None,
) -> Callable[[TrainState, Batch, PRNGKeyArray], TrainState]:
    """Returns `step(state, batch, key) -> state`, per-device code over the axis of `model`.

    `batch` is this device's part of the global batch, and `key` belongs to the step. The means over
    the global batch are added to `state.sums`. `loss` is that of the lifted pose; `hide` makes some
    of the keypoints missing, see `training.occlusion.make_hide`.
    """
    axis_name, skeleton = model.axis_name, model.skeleton
    lifting_loss = losses.LIFTING_LOSSES[loss]

    def objective(params: Any, batch_stats: Any, batch: Batch, key: PRNGKeyArray):
        variables = {"params": params["network"], "batch_stats": batch_stats}
        rngs = {"dropout": jax.random.fold_in(key, 0)}
        keypoints = batch.keypoints_2d
        if hide is not None:
            keypoints = hide(keypoints, jax.random.fold_in(key, 2))
        pose, updated = model.apply(
            variables, keypoints, train=True, rngs=rngs, mutable=["batch_stats", SOWN]
        )
        if in_person_frame(model):
            pose = to_camera(pose, keypoints, batch.cameras)
        target = relative_target(batch.joints_3d)
        total = lifting_loss(pose, target)
        error = metrics.mpjpe(pose, target).mean()
        expected = joint_errors(updated)
        if expected is not None:
            total += losses.joint_error_loss(expected, pose, target)
        if refinement is not None:
            backprojected = backproject(
                pose,
                batch.keypoints_2d[..., :2],
                root_depth=batch.joints_3d[:, 0, 2],
                cameras=batch.cameras,
            )
            rngs = {"dropout": jax.random.fold_in(key, 1)}
            refined = refinement.apply(
                {"params": params["refinement"]}, pose, backprojected, train=True, rngs=rngs
            )
            total += losses.refinement_loss(
                jnp.asarray(refined),
                target,
                skeleton=skeleton,
                absolute_symmetry=absolute_symmetry,
            )
        return total, (updated["batch_stats"], {"loss": total, "mpjpe": error})

    def step(state: TrainState, batch: Batch, key: PRNGKeyArray) -> TrainState:
        grads, (batch_stats, measured) = jax.grad(objective, has_aux=True)(
            state.params, state.batch_stats, batch, key
        )
        if axis_name is not None:  # after the gradient, not through it: see docs/decisions.md
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


def make_train_loop(
    step: Callable[[TrainState, Batch, PRNGKeyArray], TrainState],
    *,
    skeleton: Skeleton,
    keypoint_skeleton: Skeleton,
    axis_name: str | None,
    rows: int,
    devices: int,
    steps_per_epoch: int,
    length: int,
    key: PRNGKeyArray,
) -> Callable[[TrainState, Table, Int[Array, " sample"], Int[Array, ""]], TrainState]:
    """Returns `loop(state, table, order, until) -> state`: `length` steps, but none after `until`.

    Per-device code; each device takes its `rows` of every global batch from `order`, the order of
    the epoch's samples. Steps after `until` are computed and dropped, so that the loop has a
    constant length: an accelerator asks the host before each iteration of any other loop. Without
    an `axis_name` there is one device.
    """

    def loop(
        state: TrainState, table: Table, order: Int[Array, " sample"], until: Int[Array, ""]
    ) -> TrainState:
        def body(state: TrainState, _: None) -> tuple[TrainState, None]:
            device = 0 if axis_name is None else jax.lax.axis_index(axis_name)
            batch = (state.step % steps_per_epoch) * devices + device
            mine = jax.lax.dynamic_slice(order, (batch * rows,), (rows,))
            samples = gather(table, mine, skeleton=skeleton, keypoint_skeleton=keypoint_skeleton)
            return step_if_due(step, state, samples, key=key, until=until), None

        return jax.lax.scan(body, state, length=length)[0]

    return loop


def make_streamed_loop(
    step: Callable[[TrainState, Batch, PRNGKeyArray], TrainState],
    *,
    skeleton: Skeleton,
    keypoint_skeleton: Skeleton,
    rows: int,
    length: int,
    key: PRNGKeyArray,
) -> Callable[[TrainState, Block, Float[Array, "camera 9"], Int[Array, ""]], TrainState]:
    """Returns `loop(state, block, camera_vectors, until) -> state`: as `make_train_loop` has it.

    `block` holds this device's `rows` of the next `length` global batches, one after the other.
    """

    def loop(
        state: TrainState,
        block: Block,
        camera_vectors: Float[Array, "camera 9"],
        until: Int[Array, ""],
    ) -> TrainState:
        first, table = state.step, block.table(camera_vectors)

        def body(state: TrainState, _: None) -> tuple[TrainState, None]:
            mine = jax.lax.dynamic_slice(block.samples, ((state.step - first) * rows,), (rows,))
            samples = gather(table, mine, skeleton=skeleton, keypoint_skeleton=keypoint_skeleton)
            return step_if_due(step, state, samples, key=key, until=until), None

        return jax.lax.scan(body, state, length=length)[0]

    return loop


def step_if_due(
    step: Callable[[TrainState, Batch, PRNGKeyArray], TrainState],
    state: TrainState,
    batch: Batch,
    *,
    key: PRNGKeyArray,
    until: Int[Array, ""],
) -> TrainState:
    """The state after one more step, or as it is if `until` is reached."""
    after = step(state, batch, jax.random.fold_in(key, state.step))
    due = state.step < until
    return jax.tree.map(lambda old, new: jnp.where(due, new, old), state, after)
