"""Reads and writes the published checkpoints of networks and of refinements."""

import contextlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsnet_jax.checkpoints import key_tables
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.torch_file import read_state_dict
from rsnet_jax.config import AnyModelConfig, Config, HasRefinement, settings_class
from rsnet_jax.errors import CheckpointError, ConfigError, OutputError, quote
from rsnet_jax.files.outputs import atomic_write
from rsnet_jax.files.paths import to_path
from rsnet_jax.pose.skeleton import H36M_16, JOINT_SETS, Skeleton

REFINEMENT_PREFIX = "post_refine."
NETWORK_PREFIXES = ("model_rsnet", "model_module_gcn")
"""The names of published networks whose refinement is called model_post_refine_*."""


def from_published(
    tensors: Mapping[str, np.ndarray],
    *,
    source: str,
    skeleton: Skeleton | None = None,
    keypoint_skeleton: Skeleton | None = None,
    config: Config | None = None,
    step: int | None = None,
    **settings: Any,
) -> Checkpoint:
    """Turns published tensors, of a network and perhaps its refinement, into a checkpoint.

    Args:
        tensors: by published name; the names tell which network it is, the shapes its sizes.
        source: named in errors and kept.
        skeleton: of the network; default: that of Human3.6M with as many joints as the network.
        keypoint_skeleton: of its input; default: `skeleton`.
        config: if the tensors came with one; the other settings are then its own.
        step: kept.
        settings: of the network (`model.*`) where the tensors do not state them: `dropout`, for
            RS-Net `double_gelu`; default: those of the published weights. The `name` must be that
            of the tensors' network, and decides where the tensors fit several.

    Raises:
        CheckpointError: the tensors are not exactly those of a network on `skeleton`.
        ConfigError: the network has no such setting.
    """
    refinement = {key: array for key, array in tensors.items() if key.startswith(REFINEMENT_PREFIX)}
    network = {key: array for key, array in tensors.items() if key not in refinement}
    if not network:
        raise CheckpointError(
            f"{source}: holds a refinement only; give the network, and this file with --refine"
        )
    given = settings if config is None else config.model.model_dump()
    sizes = key_tables.infer_model(network, source=source, given=given)
    kind = settings_class(sizes["name"])
    if refinement:
        if "refine_hidden" not in kind.model_fields:
            raise CheckpointError(
                f"{source}: {kind.title} has no refinement, but there is "
                f"{quote(next(iter(refinement)))}"
            )
        sizes["refine_hidden"] = key_tables.infer_hidden(refinement, source=source)
    skeleton = skeleton_for(sizes.pop("joints"), skeleton, keypoint_skeleton, source=source)
    keypoint_skeleton = keypoint_skeleton or skeleton
    if config is None:
        try:
            kind(**sizes)
        except ConfigError as error:  # not of the user's settings
            raise CheckpointError(f"{source}: {error}") from None
        model: Any = kind(**settings | sizes)
        config = Config(model=model)
    for field, size in sizes.items():
        if getattr(config.model, field, None) != size:
            raise CheckpointError(
                f"{source}: model.{field} is {getattr(config.model, field, None)} in its "
                f"configuration but {size} in its weights"
            )
    network_table, refinement_table = tables_of(config.model, skeleton, keypoint_skeleton)
    return Checkpoint(
        variables=key_tables.to_ours(network, network_table, source=source),
        refine_variables=key_tables.to_ours(refinement, refinement_table, source=source)
        if refinement
        else None,
        config=config,
        skeleton=skeleton,
        keypoint_skeleton=keypoint_skeleton,
        source=source,
        step=step,
    )


def skeleton_for(
    joints: int | None,
    skeleton: Skeleton | None,
    keypoint_skeleton: Skeleton | None,
    *,
    source: str,
) -> Skeleton:
    """The output's skeleton of a network whose graph has so many joints.

    If the tensors do not tell how many (None), it is the given one, or that of 16 joints.

    Raises:
        CheckpointError: the skeletons given have another number, or no known one has that.
    """
    graph = keypoint_skeleton or skeleton
    if joints is None:
        return skeleton or graph or H36M_16
    if graph is None:
        known = {one.num_joints: one for one in JOINT_SETS.values()}
        if joints not in known:
            raise CheckpointError(
                f"{source}: made for {joints} joints; without a skeleton, "
                f"{' or '.join(map(str, known))} were wanted"
            )
        return known[joints]
    if joints != graph.num_joints:
        raise CheckpointError(
            f"{source}: made for {joints} joints, but skeleton {graph.name} has {graph.num_joints}"
        )
    return skeleton or graph


def tables_of(
    model: AnyModelConfig, skeleton: Skeleton, keypoint_skeleton: Skeleton
) -> tuple[list[key_tables.Entry], list[key_tables.Entry]]:
    """Every published tensor of the network, and of its refinement if it can have one."""
    network = key_tables.KEY_TABLES[model.name].entries(model, keypoint_skeleton)
    if not isinstance(model, HasRefinement):
        return network, []
    return network, key_tables.refine_table(model, skeleton.num_joints)


def to_published(checkpoint: Checkpoint) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The published tensors of the network, and of the refinement (empty without one)."""
    network_table, refinement_table = tables_of(
        checkpoint.config.model, checkpoint.skeleton, checkpoint.keypoint_skeleton
    )
    network = key_tables.to_published(checkpoint.variables, network_table)
    if checkpoint.refine_variables is None:
        return network, {}
    return network, key_tables.to_published(checkpoint.refine_variables, refinement_table)


def load_torch_checkpoint(
    path: str | Path,
    refine: str | Path | None = None,
    *,
    skeleton: Skeleton | None = None,
    **settings: Any,
) -> Checkpoint:
    """Reads released PyTorch weights, without torch.

    Args:
        path: a `model_rsnet_*.pth`, another network's `.pth` or `.pth.tar`, or a folder that holds
            a network and perhaps its refinement.
        refine: the refinement, `model_post_refine_*.pth`.
        skeleton: see `from_published`.
        settings: see `from_published`.

    Raises:
        CheckpointError: a file is missing, damaged, hostile, or not a network on `skeleton`.
        ConfigError: the network has no such setting.
    """
    path = to_path(path)
    if path.is_dir():
        path, found = pair_in_folder(path)
        refine = refine or found
    tensors = read_state_dict(path)
    if refine is not None:
        refinement = read_state_dict(refine)
        if alien := [key for key in refinement if not key.startswith(REFINEMENT_PREFIX)]:
            raise CheckpointError(f"{refine}: not a refinement: it holds {quote(alien[0])}")
        tensors = {
            k: v for k, v in tensors.items() if not k.startswith(REFINEMENT_PREFIX)
        } | refinement
    source = str(path) if refine is None else f"{path} with {refine}"
    return from_published(tensors, source=source, skeleton=skeleton, **settings)


def pair_in_folder(folder: Path) -> tuple[Path, Path | None]:
    """The network among the .pth files of a folder, and the refinement that goes with it, if any.

    Raises:
        CheckpointError: there is not exactly one network, or several refinements could go with it.
    """
    networks, refinements = [], []
    for file in sorted([*folder.glob("*.pth"), *folder.glob("*.pth.tar")]):
        is_refinement = any(key.startswith(REFINEMENT_PREFIX) for key in read_state_dict(file))
        (refinements if is_refinement else networks).append(file)
    if len(networks) != 1:
        names = ", ".join(file.name for file in networks) or "none"
        raise CheckpointError(
            f"{folder}: wanted one network among its .pth files, found {names}"
            + ("; name the one you mean" if networks else "")
        )
    network = networks[0]
    if len(refinements) > 1:
        twin = refinement_path(network).name
        named_alike = [file for file in refinements if file.name == twin]
        if not named_alike:
            raise CheckpointError(
                f"{folder}: {len(refinements)} refinement files "
                f"({', '.join(file.name for file in refinements)}) and none is called {twin}; "
                "name one with --refine"
            )
        refinements = named_alike
    return network, refinements[0] if refinements else None


def refinement_path(network: Path) -> Path:
    """The file that holds the refinement of a network, by the published names."""
    for prefix in NETWORK_PREFIXES:
        if prefix in network.name:
            return network.with_name(network.name.replace(prefix, "model_post_refine"))
    return network.with_name(f"{network.stem}_post_refine{network.suffix}")


def require_torch(path: Path) -> None:
    """Raises an OutputError where torch, which writing `path` needs, is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise OutputError(
            f"{path}: writing .pth needs torch (pip install 'rsnet-jax[torch]'); "
            ".safetensors does not"
        )


def save_torch_checkpoint(path: Path, checkpoint: Checkpoint) -> Sequence[Path]:
    """Writes the published files with torch: the network's and, beside it, the refinement's.

    Raises:
        OutputError: torch is not installed, or a file exists or cannot be written.
    """
    require_torch(path)
    import torch

    network, refinement = to_published(checkpoint)
    files = {path: network} | ({refinement_path(path): refinement} if refinement else {})
    for file in files:
        if file.exists():
            raise OutputError(f"{file} exists already; give another name or remove it")
    try:
        with contextlib.ExitStack() as names:  # both files get their names, or neither
            for file, tensors in files.items():
                state = {key: torch.from_numpy(array.copy()) for key, array in tensors.items()}
                torch.save(state, names.enter_context(atomic_write(file)))
    except RuntimeError as error:
        raise OutputError(f"{path} cannot be written: {error}") from None
    return list(files)
