"""Weights as .safetensors: published names and shapes; configuration and skeleton as metadata."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.published import from_published, to_published
from rsnet_jax.config import Config
from rsnet_jax.errors import CheckpointError, ConfigError, OutputError, StorageError, quote
from rsnet_jax.files.outputs import atomic_write
from rsnet_jax.files.paths import local_copy
from rsnet_jax.pose.skeleton import Skeleton

METADATA_KEY = "rsnet_jax"


def save_safetensors(path: Path, checkpoint: Checkpoint) -> None:
    """Writes the network, the refinement if there is one, their configuration and skeleton.

    Raises:
        OutputError: the file exists already or cannot be written.
    """
    if path.exists():
        raise OutputError(f"{path} exists already; give another name or remove it")
    network, refinement = to_published(checkpoint)
    about = {
        "config": checkpoint.config.model_dump(mode="json"),
        "skeleton": dataclasses.asdict(checkpoint.skeleton),
        "keypoint_skeleton": dataclasses.asdict(checkpoint.keypoint_skeleton),
        "source": checkpoint.source,
        "step": checkpoint.step,
    }
    try:
        with atomic_write(path) as partial:
            save_file(network | refinement, partial, metadata={METADATA_KEY: json.dumps(about)})
    except SafetensorError as error:
        raise OutputError(f"{path} cannot be written: {error}") from None


def load_safetensors(
    path: Path, *, skeleton: Skeleton | None = None, **settings: Any
) -> Checkpoint:
    """Reads a file that `save_safetensors` wrote, or one of published tensors without metadata.

    The keyword arguments apply only to a file without our metadata; see `from_published`.

    Raises:
        CheckpointError: the file is missing, damaged, or not of a known network.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        with local_copy(path) as copy, safe_open(copy, framework="np") as file:
            metadata = file.metadata() or {}
            names = file.keys()  # `file` is not a mapping: it cannot be iterated over
            tensors = {name: file.get_tensor(name) for name in names}
    except StorageError:
        raise
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file: {quote(error)}") from None
    config, step, keypoint_skeleton = None, None, None
    if METADATA_KEY in metadata:
        try:
            about = json.loads(metadata[METADATA_KEY])
            config = Config(**about["config"])
            skeleton = Skeleton.from_dict(about["skeleton"])
            if "keypoint_skeleton" in about:  # files of earlier versions lack it
                keypoint_skeleton = Skeleton.from_dict(about["keypoint_skeleton"])
            step = about["step"]
        except (ValueError, KeyError, TypeError, ConfigError) as error:
            raise CheckpointError(f"{path}: its metadata cannot be used: {quote(error)}") from None
    return from_published(
        tensors,
        source=str(path),
        skeleton=skeleton,
        keypoint_skeleton=keypoint_skeleton,
        config=config,
        step=step,
        **settings,
    )
