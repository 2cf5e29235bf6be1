"""Saves weights to Orbax folders and restores them."""

import contextlib
import gc
import glob
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax

from rsnet_jax.checkpoints.about import FORMAT, About, describe_weights, read_about
from rsnet_jax.checkpoints.checkpoint import Checkpoint, weight_shapes
from rsnet_jax.checkpoints.members import Members
from rsnet_jax.distributed.processes import is_multiprocess
from rsnet_jax.errors import CheckpointError, ConfigError, OutputError, quote
from rsnet_jax.files.paths import is_remote, remove_tree, to_path

ORBAX_MARK = "_CHECKPOINT_METADATA"
"""The file that marks an Orbax checkpoint; on local disks the folder is renamed when complete."""
COMMIT_MARK = "commit_success.txt"
"""The file that Orbax writes last in an object store, where folders cannot be renamed."""
Result = TypeVar("Result")


def save_checkpoint(folder: str | Path, checkpoint: Checkpoint) -> None:
    """Writes an Orbax folder that holds the weights, their configuration and skeleton.

    The folder appears when it is complete; a crash leaves no folder.

    Raises:
        OutputError: the folder exists already or cannot be written.
    """
    import orbax.checkpoint as ocp  # slow to import

    folder = to_path(folder).absolute()
    check_place(folder)
    if folder.exists():
        raise OutputError(f"{folder} exists already; give another name or remove it")
    weights = {"network": checkpoint.variables}
    if checkpoint.refine_variables is not None:
        weights["refinement"] = checkpoint.refine_variables
    about = describe_weights(
        checkpoint.config,
        checkpoint.skeleton,
        checkpoint.keypoint_skeleton,
        source=checkpoint.source,
        step=checkpoint.step,
    )
    about |= {"format": FORMAT, "refinement": checkpoint.refine_variables is not None}
    items = ocp.args.Composite(
        weights=ocp.args.StandardSave(weights), about=ocp.args.JsonSave(about)
    )

    def write() -> None:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as writer:
            writer.save(folder, items)

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        call_orbax(write)
    except (OrbaxFailure, OSError) as error:
        raise OutputError(f"{folder} cannot be written: {error}") from None
    finally:  # nothing is left of a folder that could not be written
        for unfinished in folder.parent.glob(f"{glob.escape(folder.name)}.orbax-checkpoint-tmp*"):
            remove_tree(unfinished)


def check_place(folder: Path) -> None:
    """Raises an OutputError if Orbax cannot write to the store of `folder`."""
    if is_remote(folder) and not str(folder).startswith("gs:"):
        raise OutputError(f"{folder}: Orbax writes to local folders and gs:// only")


def restore_checkpoint(folder: str | Path) -> Checkpoint | Members:
    """Reads a folder that `save_checkpoint` wrote, or a checkpoint of a run.

    `Members` are returned if the run has several seeds.

    Raises:
        CheckpointError: the folder is damaged, or is no such folder.
    """
    import orbax.checkpoint as ocp

    folder = to_path(folder).absolute()
    about = restore_about(folder)
    skeleton, keypoint_skeleton = about.skeletons
    try:
        target = weight_shapes(
            about.config, skeleton, keypoint_skeleton, refinement=about.refinement
        )
    except ConfigError as error:  # the parts do not go together
        raise CheckpointError(f"{folder}: {error}") from None
    if about.members is not None:
        target = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((about.members, *x.shape), x.dtype), target
        )
    weights = restore_items(folder, weights=ocp.args.StandardRestore(local_targets(target)))[
        "weights"
    ]
    return (Checkpoint if about.members is None else Members)(
        variables=weights["network"],
        refine_variables=weights.get("refinement"),
        config=about.config,
        skeleton=skeleton,
        keypoint_skeleton=keypoint_skeleton,
        source=str(folder),
        step=about.step,
    )


def restore_about(folder: Path) -> About:
    """The description beside the weights of a checkpoint.

    Raises:
        CheckpointError: it is missing, damaged or senseless.
    """
    import orbax.checkpoint as ocp

    values = restore_items(folder, about=ocp.args.JsonRestore())["about"]
    return read_about(values, name=f"{folder}: its description")


def restore_items(folder: Path, **items: Any) -> Any:
    """Reads items of one Orbax checkpoint, given their restore arguments.

    Raises:
        CheckpointError: an item is missing or damaged.
    """
    import orbax.checkpoint as ocp

    def read() -> Any:
        options = ocp.CompositeOptions(multiprocessing_options=single_process_options())
        handler = ocp.CompositeCheckpointHandler(composite_options=options)
        with ocp.Checkpointer(handler, multiprocessing_options=single_process_options()) as reader:
            return reader.restore(folder, ocp.args.Composite(**items))

    try:
        return call_orbax(read)
    except OrbaxFailure as failure:
        raise CheckpointError(f"{folder}: not a readable rsnet_jax checkpoint: {failure}") from None


def single_process_options() -> Any:
    """Orbax's options for a process that reads or writes without waiting for other processes."""
    import orbax.checkpoint as ocp

    if not is_multiprocess():
        return ocp.options.MultiprocessingOptions()
    number = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=number,
        active_processes={number},
        barrier_sync_key_prefix=f"process{number}",
    )


class OrbaxFailure(Exception):
    """An operation that Orbax or TensorStore could not do; the message is one line."""


def call_orbax(work: Callable[[], Result]) -> Result:
    """Calls Orbax with its output silenced and its errors cut down to one line.

    When a file is damaged or a disk full, Orbax prints and raises many lines.

    Raises:
        OrbaxFailure: `work` failed.
    """
    with _without_thread_noise():
        try:
            return work()
        except Exception as error:  # Orbax and TensorStore raise many kinds
            reason = quote((str(error).strip().splitlines() or [type(error).__name__])[0])
        # Threads that read or write other arrays still run; they fail while stderr is silenced.
        time.sleep(0.3)
        gc.collect()
    raise OrbaxFailure(reason)


@contextlib.contextmanager
def _without_thread_noise() -> Iterator[None]:
    """Silences stderr while Orbax works.

    When one array cannot be read or written, TensorStore's threads print a traceback for each of
    the other arrays, straight to the file descriptor. The first error is raised, and is enough.
    """
    hook = sys.unraisablehook
    try:
        saved = os.dup(2)
    except OSError:  # stderr is closed
        yield
        return
    sys.stderr.flush()
    try:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 2)
        os.close(devnull)
        sys.unraisablehook = lambda unraisable: None
        yield
    finally:
        sys.unraisablehook = hook
        os.dup2(saved, 2)
        os.close(saved)


def local_targets(tree: Any) -> Any:
    """Describes arrays of the shapes of `tree`, to be restored on one device of this process."""
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), tree)


def is_complete(folder: Path) -> bool:
    """True if a folder is an Orbax checkpoint that was written to its end."""
    return (folder / (COMMIT_MARK if is_remote(folder) else ORBAX_MARK)).exists()
