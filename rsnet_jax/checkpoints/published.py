"""Reads and writes the published checkpoints of the network and of the refinement."""

import contextlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rsnet_jax.checkpoints import key_tables
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.torch_file import read_state_dict
from rsnet_jax.config import Config, ModelConfig
from rsnet_jax.errors import CheckpointError, OutputError, quote
from rsnet_jax.files.outputs import atomic_write
from rsnet_jax.files.paths import to_path
from rsnet_jax.pose.skeleton import H36M_16, Skeleton

PUBLISHED_DROPOUT = 0.2
REFINEMENT_PREFIX = "post_refine."


def from_published(
    tensors: Mapping[str, np.ndarray],
    *,
    source: str,
    dropout: float = PUBLISHED_DROPOUT,
    double_gelu: bool = True,
    skeleton: Skeleton = H36M_16,
    config: Config | None = None,
    step: int | None = None,
) -> Checkpoint:
    """Turns published tensors, of a network and perhaps its refinement, into a checkpoint.

    Args:
        tensors: by published name.
        source: named in errors and kept.
        dropout: of training; the tensors do not tell.
        double_gelu: whether Block II applies GELU twice; the tensors do not tell.
        skeleton: of the network.
        config: if the tensors came with one; sizes, `dropout` and `double_gelu` are then its own.
        step: kept.

    Raises:
        CheckpointError: the tensors are not exactly those of an RS-Net on `skeleton`.
    """
    refinement = {key: array for key, array in tensors.items() if key.startswith(REFINEMENT_PREFIX)}
    network = {key: array for key, array in tensors.items() if key not in refinement}
    if not network:
        raise CheckpointError(
            f"{source}: holds a refinement only; give the network, and this file with --refine"
        )
    sizes = key_tables.infer_model(network, source=source)
    if sizes["joints"] != skeleton.num_joints:
        raise CheckpointError(
            f"{source}: made for {sizes['joints']} joints, but skeleton {skeleton.name} has "
            f"{skeleton.num_joints}"
        )
    if refinement:
        sizes["refine_hidden"] = key_tables.infer_hidden(refinement, source=source)
    del sizes["joints"]
    if config is None:
        model = ModelConfig(dropout=dropout, double_gelu=double_gelu, **sizes)
        config = Config(model=model)
    for name, size in sizes.items():
        if getattr(config.model, name) != size:
            raise CheckpointError(
                f"{source}: model.{name} is {getattr(config.model, name)} in its configuration "
                f"but {size} in its weights"
            )
    joints = skeleton.num_joints
    refinement_table = key_tables.refine_table(config.model, joints)
    return Checkpoint(
        variables=key_tables.to_ours(
            network, key_tables.rsnet_table(config.model, joints), source=source
        ),
        refine_variables=key_tables.to_ours(refinement, refinement_table, source=source)
        if refinement
        else None,
        config=config,
        skeleton=skeleton,
        source=source,
        step=step,
    )


def to_published(checkpoint: Checkpoint) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The published tensors of the network, and of the refinement (empty without one)."""
    model, joints = checkpoint.config.model, checkpoint.skeleton.num_joints
    network = key_tables.to_published(checkpoint.variables, key_tables.rsnet_table(model, joints))
    if checkpoint.refine_variables is None:
        return network, {}
    refinement = key_tables.to_published(
        checkpoint.refine_variables, key_tables.refine_table(model, joints)
    )
    return network, refinement


def load_torch_checkpoint(
    path: str | Path,
    refine: str | Path | None = None,
    *,
    dropout: float = PUBLISHED_DROPOUT,
    double_gelu: bool = True,
    skeleton: Skeleton = H36M_16,
) -> Checkpoint:
    """Reads released PyTorch weights, without torch.

    Args:
        path: a `model_rsnet_*.pth`, or a folder that holds a network and perhaps its refinement.
        refine: the refinement, `model_post_refine_*.pth`.
        dropout: see `from_published`.
        double_gelu: see `from_published`.
        skeleton: see `from_published`.

    Raises:
        CheckpointError: a file is missing, damaged, hostile, or not an RS-Net on `skeleton`.
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
    return from_published(
        tensors, source=source, dropout=dropout, double_gelu=double_gelu, skeleton=skeleton
    )


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
        twin = network.name.replace("model_rsnet", "model_post_refine")
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
    """The file in which `save_torch_checkpoint` puts the refinement of a network."""
    if "model_rsnet" in network.name:
        return network.with_name(network.name.replace("model_rsnet", "model_post_refine"))
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
