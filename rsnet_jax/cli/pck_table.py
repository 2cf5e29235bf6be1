"""The table that `evaluate` prints for MPI-INF-3DHP."""

from collections.abc import Mapping
from typing import Any

from rsnet_jax.cli.tables import about, degenerate_lines, member_lines, prose, remark_lines
from rsnet_jax.config import AnyModelConfig
from rsnet_jax.data.mpi_inf_3dhp.scenes import SCENES

FIRST = 21  # width of the first column
COLUMNS = {
    "mpjpe": "P1",
    "pa_mpjpe": "P2",
    "pck150": "PCK",
    "auc": "AUC",
    "pck150_without_root": "PCK",
    "auc_without_root": "AUC",
}
WHAT = {
    "poseaug": (
        "Convention poseaug: PCK and AUC over 16 joints, the pelvis among them, which is always "
        "right since poses are relative to it; beside them without the pelvis."
    ),
    "official": "Convention official: PCK and AUC over 14 joints, without pelvis and spine.",
}
LEGEND = (
    "P1: MPJPE, P2: MPJPE after Procrustes alignment, in millimeters, over all 16 joints. PCK: "
    "percentage of joints that are less than 150 mm off; AUC: mean of the percentages at 0, 5, "
    "..., 150 mm (at most 96.77)."
)
TOTALS = (
    "Over frames: every frame counts once, as in the rows of scenes. Over sequences: the mean of "
    "the rows of the sequences."
)


def pck_table(report: Mapping[str, Any], model: AnyModelConfig, *, device: str) -> str:
    """The result as text: a row per sequence and per scene, then both totals."""
    lifted = report["lifted"]
    columns = [name for name in COLUMNS if name in lifted["over_frames"]]
    heads = "".join(f"{COLUMNS[name]:>8}" for name in columns)
    lines = [*about(report, model, device=device), prose(WHAT[report["convention"]]), ""]
    if "pck150_without_root" in columns:
        lines.append(" " * (FIRST + 8 + 4 * 8) + f"{'without pelvis':>16}")
    lines.append(" " * FIRST + f"{'frames':>8}" + heads)

    def row(name: str, figures: Mapping[str, Any]) -> str:
        frames = f"{figures['frames']:,}" if "frames" in figures else ""
        return f"{name:<{FIRST}}{frames:>8}" + "".join(f"{figures[c]:8.2f}" for c in columns)

    rule = "-" * len(lines[-1])
    lines += [row(name, figures) for name, figures in lifted["sequences"].items()]
    if lifted["scenes"]:
        lines.append(rule)
    for scene, figures in lifted["scenes"].items():
        names = [name for name in SCENES[scene] if name in lifted["sequences"]]
        lines.append(row(f"{scene} ({' '.join(names)})", figures))
    lines += [rule, row("all, over frames", lifted["over_frames"])]
    if lifted["over_sequences"] is not None:
        lines.append(row("all, over sequences", lifted["over_sequences"]))
    lines += ["", prose(LEGEND)]
    if lifted["over_sequences"] is not None:
        lines.append(prose(TOTALS))
    errors = lifted["per_joint_mpjpe"].items()
    cells = [f"{name.replace('_', ' ')} {error:.1f}" for name, error in errors]
    lines.append(prose(f"Per joint: {', '.join(cells)}"))
    lines += degenerate_lines(report, ["lifted"]) + member_lines(report) + remark_lines(report)
    return "\n".join(lines)
