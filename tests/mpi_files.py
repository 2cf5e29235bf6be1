"""Small made-up files of MPI-INF-3DHP in each of its forms, to be broken one way at a time."""

import dataclasses
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
from scipy.spatial.transform import Rotation

SIZES = {name: (2048, 2048) for name in ("TS1", "TS2", "TS3", "TS4")}
SIZES |= {"TS5": (1920, 1080), "TS6": (1920, 1080)}
SCENES = {"TS1": "gs", "TS2": "gs", "TS3": "no_gs", "TS4": "no_gs"}
SCENES |= {"TS5": "outdoor", "TS6": "outdoor"}
PERSON = np.array(  # x to the right of the person, y forward, z up, in meters; knees bend forward
    [
        (0.0, 0.0, 0.9),
        *((0.13, 0.0, 0.9), (0.14, 0.05, 0.48), (0.15, 0.0, 0.06)),
        *((-0.13, 0.0, 0.9), (-0.14, 0.05, 0.48), (-0.15, 0.0, 0.06)),
        *((0.0, 0.02, 1.15), (0.0, 0.0, 1.4), (0.0, 0.03, 1.65)),
        *((-0.18, 0.0, 1.38), (-0.3, 0.02, 1.1), (-0.35, 0.1, 0.88)),
        *((0.18, 0.0, 1.38), (0.3, 0.02, 1.1), (0.35, 0.1, 0.88)),
    ]
)
SPIN = [14, 2, 1, 0, 3, 4, 5, 16, 12, 18, 9, 10, 11, 8, 7, 6]
OFFICIAL = [14, 8, 9, 10, 11, 12, 13, 15, 1, 0, 5, 6, 7, 2, 3, 4]
FOCAL = 1500.0  # pixels


@dataclasses.dataclass
class Made:
    """The annotated frames of one sequence."""

    name: str
    poses: Any  # (frame, 16, 3) meters, camera axes, absolute
    pixels: Any  # (frame, 16, 2)
    numbers: Any  # (frame,) of the images, from 1

    @property
    def relative(self):
        return self.poses - self.poses[:, :1]

    @property
    def normalized(self):
        """Both axes by the width: 2 u / w - 1, 2 v / w - h / w."""
        width, height = SIZES[self.name]
        u, v = self.pixels[..., 0], self.pixels[..., 1]
        return np.stack([2 * u / width - 1, 2 * v / width - height / width], axis=-1)


def make(name="TS1", frames=6, *, seed=0) -> Made:
    """A person who stands with slightly bent knees, turns, and is four meters away."""
    rng = np.random.default_rng(seed)
    turned = np.stack(
        [Rotation.from_euler("z", angle).apply(PERSON) for angle in rng.uniform(0, 6.28, frames)]
    )
    x, y, z = np.moveaxis(turned + rng.normal(size=(frames, 1, 3)) * [0.3, 0.3, 0.0], -1, 0)
    poses = np.stack([x, 1.0 - z, 4.0 + y], axis=-1)  # a camera one meter above the ground
    width, height = SIZES[name]
    pixels = FOCAL * poses[..., :2] / poses[..., 2:] + np.array([width, height]) / 2
    return Made(name, poses, pixels, np.arange(1, frames + 1))


def make_all(frames=(6, 5, 4, 7, 3, 2)) -> list[Made]:
    return [make(name, n, seed=i) for i, (name, n) in enumerate(zip(SIZES, frames, strict=True))]


def annotations(made: Made, *, invalid=2) -> dict[str, np.ndarray]:
    """Arrays as they lie in a file of the official test set: (frame, 1, 17, 2 or 3).

    The first frames are not valid and hold nothing.
    """
    frames = invalid + len(made.poses)
    pixels, poses = np.full((frames, 1, 17, 2), np.nan), np.full((frames, 1, 17, 3), np.nan)
    pixels[invalid:, 0, OFFICIAL], poses[invalid:, 0, OFFICIAL] = made.pixels, 1000 * made.poses
    for array in (pixels, poses):  # joint 16 is the head, between head top (0) and neck (1)
        array[invalid:, 0, 16] = array[invalid:, 0, :2].mean(axis=1)
    valid = np.ones((frames, 1))
    valid[:invalid] = 0
    actual = poses.copy()
    actual[invalid:] *= 1.1  # of a person taller than the universal one
    return {"annot2": pixels, "annot3": actual, "univ_annot3": poses, "valid_frame": valid}


def write_v73(path: Path, arrays) -> None:
    """A MATLAB file of version 7.3: HDF5 behind a block of 512 bytes. Its axes are not reversed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = array
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512, b" "))


def write_v5(path: Path, arrays) -> None:
    """A MATLAB file of version 5, in which the axes are those of MATLAB, the reverse."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {name: np.asarray(array).T for name, array in arrays.items()})


def write_official(folder: Path, sequences, *, write=write_v73) -> Path:
    for made in sequences:
        write(folder / made.name / "annot_data.mat", annotations(made))
    return folder


def spin_arrays(sequences) -> dict[str, np.ndarray]:
    rows = sum(len(made.poses) for made in sequences)
    part, meters = np.zeros((rows, 24, 3)), np.zeros((rows, 24, 4))
    part[:, SPIN, :2] = np.concatenate([made.pixels for made in sequences])
    meters[:, SPIN, :3] = np.concatenate([made.relative for made in sequences])
    part[:, SPIN, 2] = meters[:, SPIN, 3] = 1
    names = [
        f"mpi_inf_3dhp_test_set/{made.name}/imageSequence/img_{number:06}.jpg"
        for made in sequences
        for number in made.numbers
    ]
    return {"imgname": np.array(names), "part": part, "S": meters}


def poseaug_arrays(sequences) -> dict[str, np.ndarray]:
    return {
        "pose3d": np.concatenate([made.relative for made in sequences]).astype(np.float32),
        "pose2d": np.concatenate([made.normalized for made in sequences]).astype(np.float32),
    }


def prepared_arrays(sequences) -> dict[str, np.ndarray]:
    names = [made.name for made in sequences for _ in made.poses]
    return poseaug_arrays(sequences) | {
        "sequence": np.array(names),
        "scene": np.array([SCENES[name] for name in names]),
        "frame": np.concatenate([made.numbers for made in sequences]),
    }
