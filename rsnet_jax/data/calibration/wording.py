"""Says in sentences what the check of a calibration has found, one for all clips that are alike."""

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rsnet_jax.data.calibration.check import FAR_PIXELS, Calibration, Unpaired
from rsnet_jax.data.calibration.joints import Misplaced
from rsnet_jax.data.calibration.recording import Joints, Recording
from rsnet_jax.errors import DataError, quote

MOST_UNDETECTED = 1e-4
"""Share of points that may be undetected."""
NAMED = 3
"""Clips that are named; more are counted."""
LIMBS = {"leg": ("hip", "knee", "ankle"), "arm": ("shoulder", "elbow", "wrist")}
BELONGS_NOWHERE = (
    "the points lie {:.0f} px (median) from the projected 3D poses, and belong to no other camera, "
    "clip or time: wrong cameras, or an image of another size?"
)

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong with the points of a file."""

    kind: str
    """joints, camera, clip, time, rate, shift, scale, mirror, far, undetected or sides."""
    message: str
    subjects: tuple[str, ...] = ()
    """The subjects concerned; empty for all, as in the fields below."""
    clips: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    frames: tuple[int, int] | None = None
    """The first and the last frame."""
    serious: bool = True
    """Training and evaluation would mean nothing."""


def findings(
    found: Calibration, names: Joints, *, orders: Mapping[str, Mapping[str, str]]
) -> list[Finding]:
    """The findings of a check, the most general first.

    Args:
        found: the result of the check.
        names: the joints.
        orders: known mistakes in words -> the joint that was seen -> the joint it is.
    """
    return [
        *(_misplaced(one, found, names, orders) for one in found.misplaced),
        *_far_joints(found, names),
        *_unpaired(found),
        *_undetected(found),
    ]


def report_findings(found: Sequence[Finding], *, source: Path, trust: bool) -> list[str]:
    """Stops at serious findings on a 2D file, and warns of the others.

    Args:
        found: the findings.
        source: the file, for the messages.
        trust: warns of serious findings too.

    Returns:
        The warnings.

    Raises:
        DataError: a finding is serious.
    """
    serious = [finding for finding in found if finding.serious]
    if serious and not trust:
        more = f" (the first of {len(serious)} such faults)" if len(serious) > 1 else ""
        raise DataError(
            f"{source.name}: {serious[0].message}{more}; `rsnet-jax check-data {source.parent}` "
            "tells more, --data.trust-order goes on regardless"
        )
    warnings = [f"{source.name}: {finding.message}" for finding in found]
    for warning in warnings:
        log.warning("%s", warning)
    return warnings


def _misplaced(
    one: Misplaced, found: Calibration, names: Joints, orders: Mapping[str, Mapping[str, str]]
) -> Finding:
    joints = {names.seen[joint]: names.reference[other] for joint, other in one.joints.items()}
    recording, camera = found.sequences[one.sequences[0]]
    of_subject = one.scope in ("subject", "recording", "sequence")
    of_clip = one.scope in ("recording", "sequence")
    of_camera = one.scope in ("camera", "sequence")
    where = {
        "file": "",
        "camera": f"{_camera(recording, camera)} of all clips: ",
        "subject": f"{quote(recording.subject)}, all clips: ",
        "recording": f"{_clip(recording)}, all cameras: ",
        "sequence": f"{_clip(recording)}, {_camera(recording, camera)}: ",
    }[one.scope]
    return Finding(
        "joints",
        where + _joint_order(joints, orders),
        subjects=(recording.subject,) if of_subject else (),
        clips=(recording.name,) if of_clip else (),
        cameras=(recording.cameras[camera],) if of_camera else (),
    )


def _joint_order(joints: Mapping[str, str], orders: Mapping[str, Mapping[str, str]]) -> str:
    """The likely cause of joints that lie on others, and the joints."""
    mirrored = {joint for joint, other in joints.items() if _other_side(joint) == other}
    if mirrored == joints.keys():
        limbs = [
            limb
            for limb, parts in LIMBS.items()
            if any(joint.endswith(part) for joint in joints for part in parts)
        ]
        what = f"left and right {limbs[0]}" if len(limbs) == 1 else "left and right"
        return f"{what} are exchanged ({', '.join(joints)})"
    for cause, order in orders.items():
        moved = {joint: other for joint, other in order.items() if joint != other}
        if joints.items() <= moved.items() and len(joints) > len(moved) / 2:
            return f"{cause} (off: {', '.join(joints)})"
    each = ", ".join(f"{joint} lies on {other}" for joint, other in joints.items())
    return f"the joints are in another order: {each}"


def _other_side(joint: str) -> str:
    if joint.startswith("left_"):
        return joint.replace("left_", "right_", 1)
    return joint.replace("right_", "left_", 1)


def _far_joints(found: Calibration, names: Joints) -> Iterator[Finding]:
    """The joints that are far off in most of the file, though they are on no other joint."""
    if len(found.unpaired) > len(found.fits) / 2:
        return  # no joint is where it should be
    misplaced = {names.seen[joint] for one in found.misplaced for joint in one.joints}
    for joint, distance in found.joints.items():
        if distance > FAR_PIXELS and joint not in misplaced:
            yield Finding(
                "far",
                f"{joint} lies {distance:.0f} px (median) from where the 3D poses have it: another "
                "joint?",
            )


def _unpaired(found: Calibration) -> Iterator[Finding]:
    """One finding for all clips of a subject of which the same is wrong."""
    by_clip: dict[tuple[str, str], list[Unpaired]] = {}
    for one in found.unpaired:
        by_clip.setdefault((one.recording.subject, one.recording.name), []).append(one)
    alike: dict[tuple, list[list[Unpaired]]] = {}
    for (subject, _), parts in by_clip.items():
        alike.setdefault((subject, _signature(parts)), []).append(parts)
    everywhere = {signature for _, signature in alike}
    clips = {(fit.subject, fit.clip) for fit in found.fits}
    if len(everywhere) == 1 and by_clip.keys() == clips:  # the same in the whole file
        alike = {(None, *everywhere): list(by_clip.values())}
    for (subject, _), group in alike.items():
        recordings = [parts[0].recording for parts in group]
        first = group[0][0]
        whole = len(group[0]) == len(first.recording.cameras) or _of_the_clip(group[0])
        yield Finding(
            first.explanation.kind if first.explanation else "far",
            f"{_where(subject, recordings, found)}{_what(group)}",
            subjects=() if subject is None else (subject,),
            clips=() if subject is None else tuple(one.name for one in recordings),
            cameras=() if whole else tuple(one.recording.cameras[one.camera] for one in group[0]),
            frames=first.frames if len({one.frames for one in group[0]}) == 1 else None,
        )


def _signature(parts: Sequence[Unpaired]) -> tuple:
    """What is wrong with a clip, without the cameras if only some of them can tell it."""
    if _of_the_clip(parts):
        return (_about(parts[0]), parts[0].frames)
    return tuple((one.camera, _about(one), one.frames) for one in parts)


def _of_the_clip(parts: Sequence[Unpaired]) -> bool:
    """True for other times: cameras in whose image nobody moves see nothing of it."""
    alike = len({(_about(one), one.frames) for one in parts}) == 1
    return alike and _about(parts[0])[0] in ("time", "rate")


def _about(one: Unpaired) -> tuple:
    """What is wrong with a sequence, alike where it is alike for a person."""
    if one.explanation is None:
        return ("far",)
    kind, about = one.explanation.kind, one.explanation.about
    return (kind,) if kind == "scale" else (kind, *about)


def _where(subject: str | None, recordings: Sequence[Recording], found: Calibration) -> str:
    if subject is None:
        return f"all {len(recordings)} clips" if len(recordings) > 1 else "the only clip"
    count = len({fit.clip for fit in found.fits if fit.subject == subject})
    if len(recordings) == count > 1:
        return f"{quote(subject)}, all {count} clips"
    names = ", ".join(f"'{quote(one.name)}'" for one in recordings[:NAMED])
    more = f" and {len(recordings) - NAMED} more" if len(recordings) > NAMED else ""
    return f"{quote(subject)} {names}{more}"


def _what(group: Sequence[Sequence[Unpaired]]) -> str:
    """What is wrong with clips that are alike, told of the first one."""
    parts = group[0]
    recording = parts[0].recording
    if _of_the_clip(parts):
        return f": {_sentence(parts[0], parts[0].distance)}"
    if len({(_about(one), one.frames) for one in parts}) == 1:
        distances = sorted(one.distance for parts in group for one in parts)
        middle = distances[len(distances) // 2]
        which = "all cameras"
        if len(parts) < len(recording.cameras):
            which = ", ".join(_camera(recording, one.camera) for one in parts)
        return f", {which}: {_sentence(parts[0], middle)}"
    if all(one.explanation and one.explanation.kind == "camera" for one in parts):
        return f": {_cameras(parts)}"
    return ": " + "; ".join(
        f"{_camera(recording, one.camera)}: {_sentence(one, one.distance)}" for one in parts
    )


def _cameras(parts: Sequence[Unpaired]) -> str:
    """Which cameras the points of some cameras belong to."""
    recording, frames = parts[0].recording, _frames(parts[0])
    pairs = {one.camera: one.explanation.about[0] for one in parts if one.explanation}
    if len(pairs) == 2 and all(pairs.get(other) == camera for camera, other in pairs.items()):
        return f"{' and '.join(_camera(recording, one) for one in pairs)} are exchanged{frames}"
    have = ", ".join(str(camera + 1) for camera in pairs)
    of = ", ".join(str(other + 1) for other in pairs.values())
    text = f"camera {have} has the points of camera {of}"
    if len(pairs) > 1:
        text = f"cameras {have} have the points of cameras {of}"
    if all(other == camera + 1 for camera, other in pairs.items()):
        text += f": is {_camera(recording, min(pairs))} missing, and the next in its place?"
    return text + frames


def _sentence(one: Unpaired, distance: float) -> str:
    frames = _frames(one)
    if one.explanation is None:
        return BELONGS_NOWHERE.format(distance) + frames
    kind, about = one.explanation.kind, one.explanation.about
    if kind == "time":
        count, when = abs(about[0]), "late" if about[0] > 0 else "early"
        return f"the points come {count} frame{'s' * (count > 1)} {when}{frames}"
    if kind == "rate":
        rate = "twice" if about[0] == 0.5 else "half"
        return f"the points have {rate} the frame rate of the 3D poses{frames}"
    sentences = {
        "camera": lambda: f"the points are those of {_camera(one.recording, about[0])}",
        "clip": lambda: f"the points are those of {quote(about[0])} '{quote(about[1])}'",
        "shift": lambda: (
            f"the points lie ({about[0]}, {about[1]}) px beside the projected 3D poses"
        ),
        "scale": lambda: (
            f"the points are {about[0]:.1f} times as far apart as the projected 3D poses: an image "
            "of another size?"
        ),
        "mirror": lambda: "the points are those of the mirrored image",
    }
    return sentences[kind]() + frames


def _frames(one: Unpaired) -> str:
    if one.frames is None:
        return ""
    first, last = one.frames
    if last == one.recording.frames - 1:
        return f" from frame {first} on"
    return f" in frames {first} to {last}"


def _undetected(found: Calibration) -> Iterator[Finding]:
    count = sum(fit.undetected for fit in found.fits)
    if not count:
        return
    total = sum(fit.frames for fit in found.fits) * len(found.joints)
    first = next(fit for fit in found.fits if fit.undetected)
    sequences = sum(fit.undetected > 0 for fit in found.fits)
    yield Finding(
        "undetected",
        f"{count:,} of {total:,} points ({100 * count / total:.2g} %) are at (0, 0), not detected, "
        f"in {sequences} sequence{'s' * (sequences > 1)}, the first {quote(first.subject)} "
        f"'{quote(first.clip)}', camera {quote(first.camera)}, frame {first.first_undetected}",
        serious=count > MOST_UNDETECTED * total,
    )


def _clip(recording: Recording) -> str:
    return f"{quote(recording.subject)} '{quote(recording.name)}'"


def _camera(recording: Recording, camera: int) -> str:
    return f"camera {camera + 1} ({quote(recording.cameras[camera])})"
