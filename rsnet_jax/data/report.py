"""The report on a data set: what a folder holds, and what is wrong with it."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from rsnet_jax.data.calibration.check import Calibration
from rsnet_jax.data.calibration.wording import Finding

FORMAT, VERSION = "rsnet_jax.check_data", 1
MOST_CAMERAS = 8
"""Cameras of a subject that have a column of their own in the table of distances."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A problem or a remark: one line for a person, and the fields of its finding for programs."""

    message: str
    kind: str = "file"
    finding: Finding | None = None

    def as_json(self) -> dict[str, Any]:
        """The entry as `--json` writes it."""
        found = self.finding or Finding(self.kind, self.message)
        return {
            "kind": self.kind,
            "message": self.message,
            "subjects": list(found.subjects),
            "clips": list(found.clips),
            "cameras": list(found.cameras),
            "frames": None if found.frames is None else list(found.frames),
        }


@dataclasses.dataclass
class Report:
    """The contents and problems of a folder; each entry is one line for a person to read."""

    lines: list[str] = dataclasses.field(default_factory=list)
    """The subjects, clips, frames, joints and ranges of each file, and distances."""
    problems: list[Entry] = dataclasses.field(default_factory=list)
    """Faults with which training or evaluation would fail or mean nothing."""
    remarks: list[Entry] = dataclasses.field(default_factory=list)
    """Facts that are worth knowing, but harmless."""
    data_sets: list[str] = dataclasses.field(default_factory=list)
    """The kinds of data sets: h36m, views, mpi_inf_3dhp."""
    files: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    calibration: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def problem(self, *messages: str, kind: str = "file") -> None:
        """Adds problems."""
        self.problems += [Entry(message, kind) for message in messages]

    def remark(self, *messages: str, kind: str = "file") -> None:
        """Adds remarks."""
        self.remarks += [Entry(message, kind) for message in messages]

    def add_findings(self, source: str, findings: Iterable[Finding]) -> None:
        """Adds what the check of a calibration has found in a 2D file."""
        for finding in findings:
            entry = Entry(f"{source}: {finding.message}", finding.kind, finding)
            (self.problems if finding.serious else self.remarks).append(entry)

    def add_calibration(self, source: str, found: Calibration) -> None:
        """Adds the distances of a 2D file from the projected 3D, per sequence and per joint."""
        self.calibration.append(
            {
                "file": source,
                "median_px": found.distance,
                "limit_px": found.limit,
                "joints_px": found.joints,
                "sequences": [
                    {
                        "subject": fit.subject,
                        "clip": fit.clip,
                        "camera": fit.camera,
                        "frames": fit.frames,
                        "median_px": None if fit.distance != fit.distance else fit.distance,
                        "undetected": fit.undetected,
                    }
                    for fit in found.fits
                ],
            }
        )
        self.lines += distance_table(found)

    def as_json(self, folder: str) -> dict[str, Any]:
        """The report as `--json` writes it."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "folder": folder,
            "ok": not self.problems,
            "data_sets": self.data_sets,
            "files": self.files,
            "calibration": self.calibration,
            "problems": [entry.as_json() for entry in self.problems],
            "remarks": [entry.as_json() for entry in self.remarks],
        }


def distance_table(found: Calibration) -> list[str]:
    """The median distances per subject and camera, the worst sequence, and the joints."""
    subjects: dict[str, dict[str, list[float]]] = {}
    for fit in found.fits:
        subjects.setdefault(fit.subject, {}).setdefault(fit.camera, []).append(fit.distance)
    lines = []
    cameras = list(dict.fromkeys(fit.camera for fit in found.fits))
    if len(cameras) <= MOST_CAMERAS:
        lines.append("  px    " + "".join(f"{camera[-9:]:>10}" for camera in cameras))
        for subject, by_camera in subjects.items():
            cells = [
                f"{_middle(by_camera[camera]):10.1f}" if camera in by_camera else " " * 10
                for camera in cameras
            ]
            lines.append(f"  {subject:<6}" + "".join(cells))
    worst = max(found.fits, key=lambda fit: fit.distance)
    lines.append(
        f"  farthest: {worst.subject} {worst.clip!r}, camera {worst.camera}, "
        f"{worst.distance:.1f} px; taken as right: up to {found.limit:.1f} px"
    )
    joints = ", ".join(f"{name.replace('_', ' ')} {px:.1f}" for name, px in found.joints.items())
    lines.append(f"  per joint, px: {joints}")
    return lines


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
