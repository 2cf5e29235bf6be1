"""Reads folders of views: arrays are mapped into memory, and nothing is unpickled."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsnet_jax.data.frames import action_of
from rsnet_jax.data.views.format import StoredArray, StoredSequence, array_file, read_index
from rsnet_jax.data.views.stored import StoredViews, ViewsFolder
from rsnet_jax.errors import ConfigError, DataError, one_line, quote
from rsnet_jax.files.paths import no_such, require_file, size, to_path


def open_views(root: str | os.PathLike[str]) -> ViewsFolder:
    """Opens a folder; checks the index, and the type, shape and size of every array file.

    Raises:
        DataError: a file is missing or damaged, or the index is not true of it.
    """
    path = to_path(root)
    if not path.is_dir():
        kind = "not a folder" if path.exists() else no_such(path, "folder")
        raise DataError(f"{path}: {kind}; wanted one with index.json")
    index = read_index(path)
    arrays = {name: _map(array_file(path, name), said) for name, said in index.arrays.items()}
    return ViewsFolder(path, index, arrays)


def load_views(
    root: str | os.PathLike[str],
    *,
    detections: str | None,
    subjects: Sequence[str],
    actions: Sequence[str] = (),
    every: int = 1,
    confidence: bool = False,
) -> StoredViews:
    """The table of the views of some subjects and actions; its rows are read when they are needed.

    Rows are in the order of the file.

    Args:
        root: the folder.
        detections: one of those that the folder has.
        subjects: at least one.
        actions: clip names up to the first space; empty for all.
        every: keeps rows 0, every, 2 * every, ... of each sequence.
        confidence: see `StoredViews`.

    Raises:
        DataError: see `open_views`; or the folder lacks one of the names, or detections are None.
        ConfigError: `every` is not positive, or `subjects` names one twice.
    """
    if every < 1:
        raise ConfigError(f"every: a frame stride of at least 1 was wanted, not {every}")
    folder = open_views(root)
    index = folder.index
    if detections not in index.detections:
        found = ", ".join(index.detections)
        if detections is None:
            raise DataError(
                f"which 2D keypoints? --data.detections is not given; {folder.path} holds: {found}"
            )
        raise DataError(f"{folder.path}: no detections {detections!r}; it holds: {found}")
    sequences = _select(folder, subjects=subjects, actions=actions)
    return StoredViews(folder, sequences, detections=detections, every=every, confidence=confidence)


def _select(
    folder: ViewsFolder, *, subjects: Sequence[str], actions: Sequence[str]
) -> list[StoredSequence]:
    """The wanted sequences in the order of the file."""
    if len(set(subjects)) != len(subjects) or not subjects:
        raise ConfigError(
            f"subjects: one or more different names were wanted, not {list(subjects)}"
        )
    sequences = folder.index.sequences
    held = dict.fromkeys(sequence.subject for sequence in sequences)
    if missing := [name for name in subjects if name not in held]:
        raise DataError(
            f"{folder.path}: no subject {missing[0]!r}; it holds: {quote(', '.join(held))}"
        )
    wanted = set(subjects)
    chosen = [sequence for sequence in sequences if sequence.subject in wanted]
    held = dict.fromkeys(action_of(sequence.clip) for sequence in chosen)
    if missing := [name for name in actions if name not in held]:
        raise DataError(
            f"{folder.path}: no action {missing[0]!r} of {', '.join(subjects)}; found: "
            f"{quote(', '.join(held))}"
        )
    return [one for one in chosen if not actions or action_of(one.clip) in actions]


def _map(path: Path, said: StoredArray) -> np.ndarray:
    """Maps an array file into memory, read-only, if it is what the index says."""
    require_file(path, DataError)
    try:
        array = np.lib.format.open_memmap(path, mode="r")
        size_wanted = array.offset + array.nbytes
    except Exception as error:  # a damaged header can make any step of the reading fail
        raise DataError(
            f"{path}: not a plain .npy file, or cut short ({one_line(error)})"
        ) from None
    found = (array.shape, array.dtype.str, array.flags.c_contiguous)
    if found != (said.shape, np.dtype(said.dtype).newbyteorder("<").str, True):
        order = "" if array.flags.c_contiguous else " in Fortran order"
        raise DataError(
            f"{path}: index.json says {said.dtype} of shape {said.shape}, but the file holds "
            f"{array.dtype}{'' if array.dtype.isnative else ' (big-endian)'} of shape "
            f"{array.shape}{order}"
        )
    if size(path) != size_wanted:
        raise DataError(
            f"{path}: {size_wanted:,} bytes were wanted by its header, not {size(path):,}"
        )
    return array.view(np.ndarray)
