"""Reads folders of views: arrays are mapped into memory, and nothing is unpickled."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rsnet_jax.data.frames import Frames, action_of
from rsnet_jax.data.views.format import (
    JOINTS,
    TIME,
    Index,
    StoredArray,
    StoredSequence,
    array_file,
    keypoints_name,
    make_skeleton,
    read_index,
)
from rsnet_jax.errors import ConfigError, DataError, one_line, quote
from rsnet_jax.files.paths import require_file, size, to_path


@dataclasses.dataclass(frozen=True)
class ViewsFolder:
    """An open folder: its index, and its arrays, which are read from disk where they are used."""

    path: Path
    index: Index
    arrays: Mapping[str, np.ndarray]


def open_views(root: str | os.PathLike[str]) -> ViewsFolder:
    """Opens a folder; checks the index, and the type, shape and size of every array file.

    Raises:
        DataError: a file is missing or damaged, or the index is not true of it.
    """
    path = to_path(root)
    if not path.is_dir():
        kind = "not a folder" if path.exists() else "no such folder"
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
) -> Frames:
    """Reads the sequences of some subjects and actions into one table of views.

    Rows are in the order of the file.

    Args:
        root: the folder.
        detections: one of those that the folder has.
        subjects: at least one.
        actions: clip names up to the first space; empty for all.
        every: keeps rows 0, every, 2 * every, ... of each sequence.

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
    rows = np.concatenate([np.arange(one.first, one.first + one.count, every) for one in sequences])
    lengths = [-(-one.count // every) for one in sequences]
    found_subjects = list(dict.fromkeys(one.subject for one in sequences))
    found_actions = list(dict.fromkeys(action_of(one.clip) for one in sequences))

    def column(values: Sequence[int]) -> np.ndarray:
        return np.repeat(np.array(values, np.int32), lengths)

    return Frames(
        dataset=index.dataset,
        detections=detections,
        skeleton=make_skeleton(index.skeleton),
        keypoint_skeleton=make_skeleton(index.keypoint_skeleton),
        keypoints_2d=_take(folder, keypoints_name(detections), rows),
        joints_3d=_take(folder, JOINTS, rows),
        subject=column([found_subjects.index(one.subject) for one in sequences]),
        action=column([found_actions.index(action_of(one.clip)) for one in sequences]),
        camera=column([one.camera for one in sequences]),
        sequence=column(range(len(sequences))),
        time=np.asarray(folder.arrays[TIME][rows]),
        subjects=tuple(found_subjects),
        actions=tuple(found_actions),
        cameras=tuple(camera.name for camera in index.cameras),
        sequences=tuple(
            f"{one.subject}/{one.clip}/{index.cameras[one.camera].name}" for one in sequences
        ),
        camera_vectors=np.array(
            [camera.vector or (np.nan,) * 9 for camera in index.cameras], np.float32
        ),
    )


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


def _take(folder: ViewsFolder, name: str, rows: np.ndarray) -> np.ndarray:
    """Some rows of an array, in memory; raises a DataError if a value is not finite."""
    values = np.asarray(folder.arrays[name][rows])
    good = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if not good.all():
        raise DataError(
            f"{array_file(folder.path, name)}: row {rows[~good][0]} holds a value that is not "
            "finite"
        )
    return values


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
    return array
