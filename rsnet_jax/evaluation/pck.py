"""PCK and AUC: how well a network does on MPI-INF-3DHP, in numbers that are published for it.

e is the error of a joint in a frame, in mm, with prediction and truth relative to the pelvis.

    PCK(t) = 100 * mean[e < t] over frames and joints,     AUC = mean of PCK(t) over LIMITS.

No e is below 0, so that PCK(0) = 0 and AUC is at most 3000 / 31 = 96.77.

Source: Mehta et al., Monocular 3D Human Pose Estimation In The Wild, 3DV 2017.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from rsnet_jax.data.frames import Frames, Views
from rsnet_jax.data.mpi_inf_3dhp.scenes import SCENE_OF, SCENES
from rsnet_jax.errors import ConfigError
from rsnet_jax.evaluation.report import MM, degenerate_counts
from rsnet_jax.evaluation.settings import EvaluationSettings

LIMITS = tuple(float(limit) for limit in range(0, 151, 5))
"""The limits t of AUC, in mm; PCK without a limit is that of the last, 150 mm."""
CONVENTIONS: Mapping[str, tuple[str, ...]] = {"poseaug": (), "official": ("pelvis", "spine")}
"""Convention -> the joints that it leaves out. PoseAug's counts the pelvis, which is always right;
the data set's own script has 14 joints."""


def pck_and_auc(counts: Float[np.ndarray, "joint limit"], *, frames: float) -> tuple[float, float]:
    """PCK at the last limit and AUC, in percent.

    Args:
        counts: of `frames` frames, in how many the joint's error is below the limit.
        frames: their number.
    """
    curve = 100 * counts.mean(axis=0) / frames
    return float(curve[-1]), float(curve.mean())


def make_pck_report(
    total: Mapping[str, Any], frames: Views, settings: EvaluationSettings
) -> dict[str, Any]:
    """The tables that `--json` writes, from sums per sequence.

    `over_frames` and the scenes pool frames: each frame counts once. `over_sequences` is the
    unweighted mean of the sequences.
    """
    convention = settings.convention or "poseaug"
    joints = frames.skeleton.joints
    chosen = [i for i, name in enumerate(joints) if name not in CONVENTIONS[convention]]
    counts, sums = total["frames"], total["lifted"]

    def row(sequences: Sequence[int]) -> dict[str, Any]:
        views = counts[sequences].sum()
        within = sums["within"][sequences].sum(axis=0)
        figures: dict[str, Any] = {"frames": int(views)}
        for name in ("mpjpe", "pa_mpjpe"):
            figures[name] = float(MM * sums[name][sequences].sum() / views)
        figures["pck150"], figures["auc"] = pck_and_auc(within[chosen], frames=views)
        if 0 in chosen:
            without_root = pck_and_auc(within[chosen[1:]], frames=views)
            figures["pck150_without_root"], figures["auc_without_root"] = without_root
        return figures

    everything = row(range(len(counts)))
    sequences = {name: row([i]) for i, name in enumerate(frames.sequences) if name in SCENE_OF}
    scenes = {
        scene: row(members)
        for scene, names in SCENES.items()
        if (members := [i for i, name in enumerate(frames.sequences) if name in names])
    }
    per_joint = (MM * sums["per_joint_mpjpe"] / counts.sum()).tolist()

    def by_scene(name: str) -> dict[str, float] | None:
        rows = {"all": everything, **scenes}
        return (
            {scene: figures[name] for scene, figures in rows.items()}
            if name in everything
            else None
        )

    return {
        "dataset": frames.dataset,
        "detections": frames.detections,
        "frames": len(frames),
        "convention": convention,
        "joints": [joints[i] for i in chosen],
        "flip_test": settings.flip_test,
        "precision": settings.precision,
        "remarks": list(frames.remarks),
        "lifted": {
            "mpjpe": everything["mpjpe"],
            "pa_mpjpe": everything["pa_mpjpe"],
            **{
                name: by_scene(name)
                for name in ("pck150", "pck150_without_root", "auc", "auc_without_root")
            },
            "degenerate_poses": degenerate_counts(sums),
            "over_frames": everything,
            "over_sequences": _mean(list(sequences.values())),
            "scenes": scenes,
            "sequences": sequences,
            "per_joint_mpjpe": dict(zip(joints, per_joint, strict=True)),
        },
        "refined": None,
    }


def pck_labels(frames: Frames) -> dict[str, np.ndarray]:
    """What each view is, as the columns that `--predictions` writes."""
    return {
        "sequence": np.array(frames.sequences)[frames.sequence],
        "scene": np.array(frames.actions)[frames.action],
        "frame": frames.time,
    }


def check_pck_settings(settings: EvaluationSettings) -> None:
    """Raises a ConfigError for settings that belong to Human3.6M or to the refinement."""
    if settings.published:
        raise ConfigError(
            "published: it repeats bugs of the official evaluation on Human3.6M; mpi_inf_3dhp has "
            "--convention poseaug or official instead"
        )
    if settings.refine_dropout_seed is not None:
        raise ConfigError(
            "refine-dropout-seed: poses of mpi_inf_3dhp are not refined, since its cameras are not "
            "calibrated"
        )


def _mean(rows: list[dict[str, Any]]) -> dict[str, float] | None:
    """The unweighted mean of each figure over the rows, None without rows."""
    if not rows:
        return None
    return {
        name: float(np.mean([row[name] for row in rows])) for name in rows[0] if name != "frames"
    }
