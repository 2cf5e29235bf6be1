"""The recordings of a download of Human3.6M: which there are, and which are missing.

Three kinds are read, told apart by their paths:

    S1/MyPoses/3D_positions/Walking 1.h5                    the archive h36m.zip of J. Martinez
    S1/MyPoseFeatures/D3_Positions/Walking 1.cdf            the official download
    S1/MyPoseFeatures/D3_Positions/Walking 1.cdf.mat        the same, converted by MATLAB
"""

import collections
import dataclasses
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rsnet_jax.config import SUBJECTS_TEST, SUBJECTS_TRAIN
from rsnet_jax.data.frames import action_of
from rsnet_jax.data.h36m.download.containers import Container
from rsnet_jax.data.h36m.validate import MISSING_ORIGINALLY
from rsnet_jax.errors import DataError, quote

SUBJECTS = SUBJECTS_TRAIN + SUBJECTS_TEST
ACTIONS = (
    *("Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases"),
    *("Sitting", "SittingDown", "Smoking", "Waiting", "WalkDog", "WalkTogether", "Walking"),
)
RENAMED: Mapping[str, str] = MappingProxyType({"TakingPhoto": "Photo", "WalkingDog": "WalkDog"})
"""The official name of an action -> the one that the field uses."""
CLIPS_PER_ACTION = 2

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "cdf": "official .cdf files",
        "cdf.mat": "official files converted to .cdf.mat",
        "h5": "the .h5 files of h36m.zip",
    }
)
_PLACES = {
    "cdf": "MyPoseFeatures/D3_Positions",
    "cdf.mat": "MyPoseFeatures/D3_Positions",
    "h5": "MyPoses/3D_positions",
}
PATTERNS = tuple(
    f"{above}S*/{place}/*.{kind}" for above in ("", "*/", "*/*/") for kind, place in _PLACES.items()
)
"""Where recordings are in a folder: at most two folders down."""
_PATHS = {
    kind: re.compile(rf"(?:^|.*/)(S\d+)/{place}/([^/]+)\.{re.escape(kind)}")
    for kind, place in _PLACES.items()
}
_IGNORED = re.compile(r"\.|_ALL")  # a Mac's shadow files; summaries of all clips


@dataclasses.dataclass(frozen=True)
class Recording:
    """The 3D positions of a clip, as a file of a download."""

    subject: str
    name: str  # as in the files of the field: "Photo 1"
    kind: str  # one of `KINDS`
    container: Container
    member: str

    @property
    def where(self) -> str:
        return self.container.where(self.member)


def clip_name(name: str) -> str:
    """The name of a clip with its action named as the field does: "TakingPhoto 1" is "Photo 1"."""
    action, space, number = name.replace("_", " ").partition(" ")
    return RENAMED.get(action, action) + space + number


def find_recordings(containers: Sequence[Container]) -> list[Recording]:
    """The recordings of the kind of which there are most, in an order that is fast to read.

    Clips that are incomplete in the data set itself are left out.

    Raises:
        DataError: there are none, a clip is there twice, or an action or subject is unknown.
    """
    found: dict[str, list[Recording]] = {kind: [] for kind in KINDS}
    for container in containers:
        for member in container.names():
            for kind, path in _PATHS.items():
                match = path.fullmatch(member)
                if match and not _IGNORED.match(match[2]) and "__MACOSX" not in member:
                    name = clip_name(match[2])
                    found[kind].append(Recording(match[1], name, kind, container, member))
    kind = max(found, key=lambda kind: len(found[kind]))
    if not found[kind]:
        raise DataError(_nothing_found(containers))
    _check(found[kind])
    return [one for one in found[kind] if (one.subject, one.name) not in MISSING_ORIGINALLY]


def _check(recordings: Sequence[Recording]) -> None:
    seen: dict[tuple[str, str], Recording] = {}
    for recording in recordings:
        if recording.subject not in SUBJECTS:
            raise DataError(
                f"{recording.where}: subject {recording.subject} has no published calibration; "
                f"wanted: {', '.join(SUBJECTS)}"
            )
        if action_of(recording.name) not in ACTIONS:
            raise DataError(
                f"{recording.where}: no action of Human3.6M is called "
                f"{quote(action_of(recording.name))!r}; they are: {', '.join(ACTIONS)}"
            )
        other = seen.setdefault((recording.subject, recording.name), recording)
        if other is not recording:
            raise DataError(
                f"{recording.where}: {recording.subject} {recording.name!r} is there twice, also "
                f"as {other.where}"
            )


def missing(clips: Mapping[str, Sequence[str]]) -> list[str]:
    """Says which subjects are missing, and which actions of the others lack a clip.

    Args:
        clips: subject -> names of its clips.

    Returns:
        A line per subject: "S5: 28 of 30 clips; Sitting lacks 1, Walking lacks 1".
    """
    absent = [subject for subject in SUBJECTS if not clips.get(subject)]
    lines = [f"no clips of {', '.join(absent)}"] if absent else []
    for subject, names in clips.items():
        counts = collections.Counter(map(action_of, names))
        wanted = dict.fromkeys(ACTIONS, CLIPS_PER_ACTION)
        for gone, name in MISSING_ORIGINALLY:
            wanted[action_of(name)] -= gone == subject
        lacking = [
            f"{action} lacks {number - counts[action]}"
            for action, number in wanted.items()
            if counts[action] < number
        ]
        if names and lacking:
            total = sum(wanted.values())
            lines.append(f"{subject}: {len(names)} of {total} clips; {', '.join(lacking)}")
    return lines


def _nothing_found(containers: Sequence[Container]) -> str:
    paths = ", ".join(str(container.path) for container in containers)
    names = [name for container in containers for name in container.names()]
    others = sorted({name.rpartition("/")[0] for name in names})[:4]
    there = quote(", ".join(others)) or "nothing of the kind"
    return (
        f"{paths}: no 3D positions of Human3.6M; wanted S1/MyPoses/3D_positions/*.h5 (as in "
        "h36m.zip) or S1/MyPoseFeatures/D3_Positions/*.cdf or *.cdf.mat, in a folder or archive "
        f"(not D3_Positions_mono, which has camera axes); found: {there}"
    )
