"""Finds takes (.amc with .asf, .bvh) in folders of any depth and in zip archives.

Takes are also the clips of a data_3d_h36m.npz that holds motion of CMU as joint positions.
"""

import dataclasses
import functools
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float

from rsnet_jax.data.cmu.amc import read_amc
from rsnet_jax.data.cmu.asf import read_asf
from rsnet_jax.data.cmu.bvh import read_bvh
from rsnet_jax.data.cmu.joints import Body, make_body
from rsnet_jax.data.cmu.motion import Motion
from rsnet_jax.data.cmu.points_body import PointsBody
from rsnet_jax.data.h36m.joint_order import POSE_JOINTS
from rsnet_jax.data.h36m.read import FILE_3D, read_positions_3d
from rsnet_jax.errors import DataError, one_line, quote
from rsnet_jax.files.paths import is_remote, to_path
from rsnet_jax.pose.skeleton import H36M_17

LARGEST_FILE = 2**28
"""Bytes of the largest motion that is read; an hour at 120 frames a second takes less."""
TAKE_NAME = re.compile(r"(.+)_\d+")
"""The name of a take: performer, underscore, number."""
ASF_UNIT = "m"  # what `read_asf` returns


@dataclasses.dataclass(frozen=True)
class TextFile:
    """A file of the source, in a folder or in an archive."""

    path: Path  # of the file or the archive
    member: str | None  # in the archive
    container: str  # path of the file or the archive within the source
    label: str  # path of the file within the source, for messages and manifests

    @property
    def place(self) -> PurePosixPath:
        """The path within the source, where an archive counts as a folder."""
        return PurePosixPath(self.label)

    def read(self) -> bytes:
        """Reads at most `LARGEST_FILE` bytes; a DataError says what is wrong."""
        try:
            if self.member is None:
                with self.path.open("rb") as file:
                    content = file.read(LARGEST_FILE + 1)
            else:
                with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
                    content = file.read(LARGEST_FILE + 1)
        except Exception as error:  # a damaged archive can make any step of the reading fail
            raise DataError(f"{self.label} cannot be read: {one_line(error)}") from error
        if len(content) > LARGEST_FILE:
            raise DataError(f"{self.label}: at most {LARGEST_FILE:,} bytes were wanted in a motion")
        return content


@dataclasses.dataclass(frozen=True)
class Take:
    """A recording of one performer."""

    performer: str  # "02"
    name: str  # "02_01"
    file: TextFile
    skeleton: TextFile | None = None  # the .asf of an .amc
    clip: tuple[str, str] | None = None  # subject and name of a clip of an .npz

    def read(
        self, *, amc_rate: float, unit: str | None, up: str, npz_rate: float = 50.0
    ) -> Body | PointsBody:
        """Reads the motion.

        Args:
            amc_rate: frames per second of an .amc, which does not say.
            unit: of a .bvh, see `joints.make_body`.
            up: "y" or "z", the axis that points up in a .bvh.
            npz_rate: frames per second of an .npz, which does not say either.

        Raises:
            DataError: a file is damaged, or of no known kind of skeleton.
        """
        if self.clip is not None:
            points = _points_of(self.file.path, *self.clip)
            return PointsBody(f"{self.file.label}: {' '.join(self.clip)}", points, npz_rate)
        if self.skeleton is None:
            motion = read_bvh(self.file.read(), source=self.file.label)
            return make_body(_y_up(motion) if up == "z" else motion, unit=unit)
        asf = read_asf(self.skeleton.read().decode("latin-1"), source=self.skeleton.label)
        text = self.file.read().decode("latin-1")
        return make_body(read_amc(text, asf, source=self.file.label, rate=amc_rate), unit=ASF_UNIT)


def find_takes(source: str | os.PathLike[str]) -> list[Take]:
    """Finds all takes of a folder or a zip archive, sorted by performer and name.

    The performer of a file "02_01" is "02"; that of a file without such a number is the folder that
    it lies in.

    Raises:
        DataError: there is no take, an archive is damaged, a take is there twice, or an .amc lacks
            its .asf.
    """
    root = to_path(source)
    if is_remote(root):
        raise DataError(f"{root}: a local folder or archive was wanted; copy it first")
    if not root.exists():
        raise DataError(f"{root}: no such folder or archive")
    files = sorted(_files(root), key=lambda file: _natural(file.label))
    skeletons = [file for file in files if file.place.suffix.lower() == ".asf"]
    takes: dict[str, Take] = {}
    for file in files:
        kind = file.place.suffix.lower()
        if kind == ".npz":
            takes |= {take.name: take for take in _takes_of_clips(file)}
        if kind not in (".amc", ".bvh"):
            continue
        named = TAKE_NAME.fullmatch(file.place.stem)
        performer = named.group(1) if named else file.place.parent.name or file.place.stem
        name = file.place.stem if named else f"{performer}_{file.place.stem}"
        name, performer = (re.sub(r"[^\w.-]", "-", text) for text in (name, performer))
        if name in takes:
            raise DataError(
                f"{root}: take {name} is there twice: {takes[name].file.label} and {file.label}"
            )
        asf = _skeleton_of(file, performer, skeletons) if kind == ".amc" else None
        takes[name] = Take(performer, name, file, asf)
    if not takes:
        raise DataError(
            f"{root}: no .amc or .bvh file in it, nor in a .zip in it, and no {FILE_3D}"
        )
    return sorted(takes.values(), key=lambda take: _natural(f"{take.performer}/{take.name}"))


def _files(root: Path) -> Iterator[TextFile]:
    """Yields the files of the source with a suffix of interest."""
    for path in [root] if root.is_file() else _below(root):
        label = path.name if path == root else path.relative_to(root).as_posix()
        if path.name == FILE_3D:
            yield TextFile(path, None, label, label)
        elif path.suffix.lower() == ".zip":
            yield from _members(path, label)
        elif _is_wanted(label):
            yield TextFile(path, None, label, label)


def _below(root: Path) -> Iterator[Path]:
    """Yields all files below a folder, also those that links lead to; no folder twice."""
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if (Path(folder) / name).resolve() not in seen]
        seen |= {(Path(folder) / name).resolve() for name in folders}
        yield from (Path(folder) / name for name in names)


def _members(path: Path, label: str) -> Iterator[TextFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:
        raise DataError(
            f"{path}: not a .zip archive, or cut short ({one_line(error)}); download it again"
        ) from error
    for member in members:
        if not _is_wanted(member.filename):
            continue
        where = f"{label}/{quote(member.filename)}"
        if member.file_size > LARGEST_FILE:
            raise DataError(
                f"{where}: at most {LARGEST_FILE:,} bytes were wanted in a motion, not "
                f"{member.file_size:,}"
            )
        yield TextFile(path, member.filename, label, where)


def _is_wanted(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return not hidden and path.suffix.lower() in (".asf", ".amc", ".bvh")


def _takes_of_clips(file: TextFile) -> Iterator[Take]:
    """Yields the clips of a data_3d_h36m.npz as takes; the subjects are the performers."""
    for subject, clips in _clips_of(file.path).items():
        for clip in clips:
            name = re.sub(r"[^\w.-]", "-", f"{subject}_{clip}")
            yield Take(subject, name, file, clip=(subject, clip))


@functools.lru_cache(maxsize=1)
def _clips_of(path: Path) -> Mapping[str, Mapping[str, Any]]:
    return read_positions_3d(path.parent).clips


def _points_of(path: Path, subject: str, clip: str) -> Float[np.ndarray, "time 17 3"]:
    """The joints of `H36M_17` in a clip, meters, world axes (z up)."""
    joints = np.asarray(_clips_of(path)[subject][clip])
    wanted = POSE_JOINTS.get(joints.shape[1] if joints.ndim == 3 else 0)
    if wanted is None or joints.shape[2] != 3:
        raise DataError(
            f"{path}: {subject} {quote(clip)}: positions of 17 or 32 joints were wanted, not of "
            f"shape {joints.shape}"
        )
    return joints[:, wanted[H36M_17]].astype(np.float64)


def _skeleton_of(file: TextFile, performer: str, skeletons: Sequence[TextFile]) -> TextFile:
    """The .asf of an .amc: that of the performer, beside it or elsewhere; or the one beside it."""
    beside = [asf for asf in skeletons if asf.place.parent == file.place.parent]
    for candidates in (
        [asf for asf in beside if asf.place.stem == performer],
        [asf for asf in skeletons if asf.place.stem == performer],
        beside,
    ):
        if len(candidates) == 1:
            return candidates[0]
    found = ", ".join(asf.label for asf in skeletons) or "none"
    raise DataError(f"{file.label}: no skeleton {performer}.asf for it; found: {quote(found)}")


def _natural(text: str) -> list[tuple[bool, int, str]]:
    """A sort key by which 2 comes before 10, and 10 before words."""
    return [(not part, int(part or 0), word) for part, word in re.findall(r"(\d*)(\D*)", text)]


def _y_up(motion: Motion) -> Motion:
    """The motion of a file with z up, in axes with y up: (x, y, z) -> (x, z, -y)."""
    turn = motion.rotations.copy()
    to_y_up = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    turn[:, 0] = to_y_up @ turn[:, 0]
    return dataclasses.replace(
        motion, root=motion.root @ [[1, 0, 0], [0, 0, -1], [0, 1, 0]], rotations=turn
    )
