"""The picture of `evaluate --render N`: the best, the middle and the worst poses of a run."""

from pathlib import Path

import numpy as np

from rsnet_jax.data.frames import Views
from rsnet_jax.errors import quote
from rsnet_jax.evaluation.report import Evaluation
from rsnet_jax.files.outputs import atomic_write
from rsnet_jax.visualize.write import check_library


def check_pictures() -> None:
    """Raises a ConfigError, before any work, if the libraries for pictures are not installed."""
    check_library(".png")


def write_best_and_worst(path: Path, result: Evaluation, frames: Views, *, count: int) -> None:
    """Writes the picture, of refined poses where there are any, otherwise of lifted ones.

    Args:
        path: the .png.
        result: an evaluation that kept its predictions.
        frames: what was measured.
        count: poses of each kind.

    Raises:
        OutputError: it cannot be written.
    """
    from rsnet_jax.visualize.compared import Example, ranked, save_compared  # needs Matplotlib

    rows = result.predictions
    assert rows is not None
    stage = "refined" if result.report["refined"] else "lifted"
    errors = rows[f"{stage}_mpjpe_mm"]
    numbers = rows["index"] if "index" in rows else rows["frame"]

    def example(view: int) -> Example:
        truth = frames.take(np.array([view])).joints_3d[0]
        return Example(
            pose=rows[f"{stage}_pose"][view],
            truth=np.concatenate([np.zeros_like(truth[:1]), truth[1:]]),  # the root is absolute
            what=f"{rows['sequence'][view]}, frame {numbers[view]}",
            error=float(errors[view]),
        )

    examples = {
        rank: [example(int(view)) for view in views]
        for rank, views in ranked(errors, count).items()
    }
    title = f"{stage} poses over the truth, root joint on root joint, all in one scale"
    title += f"\n{quote(result.report['checkpoint'], limit=70)}"
    with atomic_write(path) as partial:
        save_compared(partial, examples, frames.skeleton, title=title)
