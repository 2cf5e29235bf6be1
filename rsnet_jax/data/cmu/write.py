"""Prepares takes: films them and writes Human3.6M files and a folder of views."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tqdm

from rsnet_jax.config import SUBJECTS_TEST, SUBJECTS_TRAIN
from rsnet_jax.data.cmu.film import CleanTake, Filmed, Recipe, clean, film_take
from rsnet_jax.data.cmu.takes import Take
from rsnet_jax.data.frames import Clip, seen_by
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.h36m.read import FILE_3D, file_2d
from rsnet_jax.data.h36m.write import write_h36m
from rsnet_jax.data.parts import Workspace
from rsnet_jax.data.views.format import INDEX_FILE, Split
from rsnet_jax.data.views.write import Description, ViewSequence, ViewsWriter, stored_camera
from rsnet_jax.errors import ConfigError, DataError
from rsnet_jax.pose.skeleton import H36M_16, H36M_17

LICENSE = (
    "The data may be copied, modified and redistributed, and used in research and in commercial "
    "products, without asking; they may not be resold as such, not in converted form either "
    "(mocap.cs.cmu.edu)."
)
CITATION = (
    "The data used in this project was obtained from mocap.cs.cmu.edu. "
    "The database was created with funding from NSF EIA-0196217."
)
VIEWS = "views"
"""The folder of views in the output folder."""
GT, NOISY = "gt", "noisy"
"""The detections: projected joints, and these with the errors of an imitated detector."""
TEST_SHARE = 5  # one performer in so many is to test on, unless the user says otherwise


@dataclasses.dataclass(frozen=True)
class Performers:
    """The performers to train on and those to test on, and their names in Human3.6M files."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    subjects: Mapping[str, str]
    """Name of a take -> the subject of Human3.6M files that it is filed under."""


def divide_performers(takes: Sequence[Take], test: Sequence[str]) -> Performers:
    """Divides takes by performer; no performer is in both parts.

    Human3.6M files name their subjects S1 S5 S6 S7 S8 (training) and S9 S11 (test). Performers are
    dealt to these in turn; where there are fewer performers than subjects, their takes are.

    Args:
        takes: sorted by performer.
        test: the performers to test on; if empty, the last fifth, at least one of several.

    Raises:
        ConfigError: there is no such performer.
    """
    performers = list(dict.fromkeys(take.performer for take in takes))
    if not test:
        count = max(1, len(performers) // TEST_SHARE) if len(performers) > 1 else 0
        test = performers[len(performers) - count :]
    if unknown := [name for name in test if name not in performers]:
        raise ConfigError(
            f"subjects-test: no performer {unknown[0]!r}; there are: {', '.join(performers)}"
        )
    subjects = {}
    for names, chosen in (
        (SUBJECTS_TRAIN, [name for name in performers if name not in test]),
        (SUBJECTS_TEST, [name for name in performers if name in test]),
    ):
        theirs = [take for take in takes if take.performer in chosen]
        for number, take in enumerate(theirs):
            whole = len(chosen) >= len(names)
            place = chosen.index(take.performer) if whole else number
            subjects[take.name] = names[place % len(names)]
    train = tuple(name for name in performers if name not in test)
    return Performers(train, tuple(name for name in performers if name in test), subjects)


def writes_h36m(recipe: Recipe) -> bool:
    """Whether the recipe's cameras and joints are those of Human3.6M files."""
    return recipe.cameras == "h36m" and recipe.skeleton in (H36M_16, H36M_17)


def detections_of(recipe: Recipe) -> tuple[str, ...]:
    """The names of the kinds of keypoints that are written."""
    return (GT, NOISY) if recipe.noise else (GT,)


def outputs_of(recipe: Recipe) -> list[str]:
    """The names of the files that must not exist yet."""
    names = [f"{VIEWS}/{INDEX_FILE}"]
    if writes_h36m(recipe):
        names += [FILE_3D, *map(file_2d, detections_of(recipe))]
    return names


def write_takes(
    workspace: Workspace, takes: Sequence[Take], split: Performers, recipe: Recipe
) -> dict[str, Any]:
    """Reads, films and writes all takes into the staging folder of a workspace.

    Returns:
        Counts of takes, frames, clips and views, for the manifest; under "subjects" the performers
        of each subject of Human3.6M files.

    Raises:
        ConfigError: a take has fewer frames per second than the recipe wants.
        DataError: a take cannot be read, or no camera sees any clip whole.
    """
    counts: Counter[str] = Counter(takes=len(takes))
    subjects: dict[str, dict[str, None]] = {}  # the inner ones are ordered sets
    clips: dict[str, list[Clip]] = {name: [] for name in detections_of(recipe)}
    bar = tqdm.tqdm(takes, desc="preparing takes", unit="take", delay=1, disable=None)
    with ViewsWriter(workspace.staged / VIEWS, _description(takes, split, recipe)) as writer:
        for take in bar:
            cleaned = _cleaned(workspace, take, recipe)
            counts.update(cleaned.counts)
            cameras = h36m_cameras()[split.subjects[take.name]]
            for filmed in film_take(cleaned, take.name, recipe, cameras):
                counts.update(clips=1, filmed=len(filmed.time))
                counts.update(views=len(filmed.time) * len(filmed.cameras))
                _add_views(writer, take, filmed, recipe)
                if writes_h36m(recipe):
                    subject = split.subjects[take.name]
                    subjects.setdefault(subject, {})[take.performer] = None
                    for name, clip in _as_clips(filmed, subject).items():
                        clips[name].append(clip)
        if not counts["clips"]:
            raise DataError("no clip of the source fits into the pictures of all cameras")
    if writes_h36m(recipe):
        write_h36m(workspace.staged, clips, skeleton=recipe.skeleton)
    return {**counts, "subjects": {name: list(theirs) for name, theirs in subjects.items()}}


def _cleaned(workspace: Workspace, take: Take, recipe: Recipe) -> CleanTake:
    """The kept frames of a take: those of an interrupted preparation, or read now."""

    def make() -> dict[str, np.ndarray]:
        cleaned = clean(take, recipe)
        return {
            "joints": cleaned.joints,
            "time": cleaned.time,
            "stretch": cleaned.stretch,
            "counted": np.array(list(cleaned.counts)),
            "counts": np.array(list(cleaned.counts.values())),
        }

    stored = workspace.part(take.name, make)
    counts = zip(stored["counted"].tolist(), stored["counts"].tolist(), strict=True)
    return CleanTake(stored["joints"], stored["time"], stored["stretch"], dict(counts))


def _description(takes: Sequence[Take], split: Performers, recipe: Recipe) -> Description:
    made = dataclasses.asdict(recipe) | {"skeleton": recipe.skeleton.name}
    both = split.train and split.test
    return Description(
        dataset="cmu",
        skeleton=recipe.skeleton,
        keypoint_skeleton=recipe.skeleton,
        detections=detections_of(recipe),
        confidences=(NOISY,) if recipe.noise else (),
        split=Split(train=split.train, test=split.test) if both else None,
        license=LICENSE,
        citation=CITATION,
        source="CMU Graphics Lab Motion Capture Database, mocap.cs.cmu.edu",
        recipe=made | {"takes": {take.name: take.file.label for take in takes}},
    )


def _add_views(writer: ViewsWriter, take: Take, filmed: Filmed, recipe: Recipe) -> None:
    """Appends what each camera sees of a clip."""
    shown = _as_clips(filmed, take.performer)
    for number, camera in enumerate(filmed.cameras):
        seen = {name: seen_by(clip, camera, number) for name, clip in shown.items()}
        confidences = {}
        if filmed.noisy:
            confidences[NOISY] = filmed.noisy[number].confidence.astype(np.float32)
        writer.add(
            ViewSequence(
                subject=take.performer,
                clip=filmed.name,
                camera=stored_camera(camera),
                joints_3d=seen[GT][1],
                keypoints={name: points for name, (points, _) in seen.items()},
                confidences=confidences,
                time=filmed.time,
                fps=recipe.fps,
            )
        )


def _as_clips(filmed: Filmed, subject: str) -> dict[str, Clip]:
    """Detections -> the clip with these keypoints."""
    keypoints = {GT: [points.astype(np.float32) for points in filmed.keypoints]}
    if filmed.noisy:
        keypoints[NOISY] = [seen.keypoints.astype(np.float32) for seen in filmed.noisy]
    return {
        name: Clip(subject=subject, name=filmed.name, joints=filmed.joints, keypoints=points)
        for name, points in keypoints.items()
    }


def source_files(takes: Sequence[Take]) -> dict[str, Path]:
    """Path within the source -> file or archive, of everything that takes are read from."""
    files = [take.file for take in takes]
    files += [take.skeleton for take in takes if take.skeleton is not None]
    return {file.container: file.path for file in files}
