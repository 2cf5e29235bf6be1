"""Weights as .safetensors: published names and shapes; configuration and skeleton as metadata."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from rsnet_jax.checkpoints.about import Origin, describe_weights
from rsnet_jax.checkpoints.card import ModelCard
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.published import from_published, to_published
from rsnet_jax.errors import CheckpointError, OutputError, StorageError, quote, shown
from rsnet_jax.files.json_text import parse_json
from rsnet_jax.files.outputs import atomic_write
from rsnet_jax.files.paths import local_copy
from rsnet_jax.files.plain_data import read_fields
from rsnet_jax.pose.skeleton import Skeleton

SAFETENSORS = ".safetensors"
METADATA_KEY, CARD_KEY = "rsnet_jax", "model_card"
DTYPES = (
    *("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"),
)
"""The types of tensors that are read."""


def save_safetensors(
    path: Path,
    checkpoint: Checkpoint,
    *,
    dtype: type[np.floating] | None = None,
    card: ModelCard | None = None,
) -> None:
    """Writes the network, the refinement if there is one, their configuration and skeleton.

    Args:
        path: the file.
        checkpoint: the weights.
        dtype: type to store numbers in, such as float16, for a smaller file; default: their own.
        card: what users should know about the weights.

    Raises:
        OutputError: the file exists already or cannot be written.
    """
    if path.exists():
        raise OutputError(f"{path} exists already; give another name or remove it")
    network, refinement = to_published(checkpoint)
    about = describe_weights(
        checkpoint.config,
        checkpoint.skeleton,
        checkpoint.keypoint_skeleton,
        source=checkpoint.source,
        step=checkpoint.step,
    )
    metadata = {METADATA_KEY: json.dumps(about)}
    if card is not None:
        metadata[CARD_KEY] = card.model_dump_json()
    tensors = network | refinement
    if dtype is not None:
        tensors = {
            name: array.astype(dtype) if array.dtype.kind == "f" else array
            for name, array in tensors.items()
        }
    try:
        with atomic_write(path) as partial:
            save_file(tensors, partial, metadata=metadata)
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
    metadata, tensors = _read(path)
    if METADATA_KEY not in metadata:
        return from_published(tensors, source=str(path), skeleton=skeleton, **settings)
    name = f"{path}: its metadata"
    values = parse_json(metadata[METADATA_KEY], name=name, error=CheckpointError)
    about = read_fields(Origin, values, name=name, error=CheckpointError)
    skeleton, keypoint_skeleton = about.skeletons
    return from_published(
        tensors,
        source=str(path),
        skeleton=skeleton,
        keypoint_skeleton=keypoint_skeleton,
        config=about.config,
        step=about.step,
    )


def read_card(path: Path) -> ModelCard | None:
    """The model card in a .safetensors file; None if it has none.

    Raises:
        CheckpointError: the file or the card is damaged.
    """
    metadata, _ = _read(path)
    if CARD_KEY not in metadata:
        return None
    name = f"{path}: its model card"
    values = parse_json(metadata[CARD_KEY], name=name, error=CheckpointError)
    return read_fields(ModelCard, values, name=name, error=CheckpointError)


def _read(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The metadata and the tensors of a file.

    Raises:
        CheckpointError: it is damaged, or a tensor is of a type that numpy lacks.
    """
    try:
        with local_copy(path) as copy, safe_open(copy, framework="np") as file:
            tensors, names = {}, file.keys()  # `file` is no mapping: it cannot be iterated over
            for name in names:
                dtype = file.get_slice(name).get_dtype()
                if dtype not in DTYPES:
                    raise CheckpointError(
                        f"{path}: tensor {shown(name)} is of type {quote(dtype)}; "
                        f"{', '.join(DTYPES)} were wanted"
                    )
                tensors[name] = file.get_tensor(name)
            return file.metadata() or {}, tensors
    except (CheckpointError, StorageError):
        raise
    except Exception as error:  # a damaged file can make any step of the reading fail
        raise CheckpointError(f"{path}: not a readable safetensors file: {quote(error)}") from None
