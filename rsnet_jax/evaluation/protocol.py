"""What is added up for a data set in an evaluation, and the report that becomes of it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from rsnet_jax.data.frames import Frames, Rows, Views
from rsnet_jax.data.mpi_inf_3dhp.scenes import MPI_INF_3DHP
from rsnet_jax.errors import ConfigError
from rsnet_jax.evaluation.pck import LIMITS, check_pck_settings, make_pck_report, pck_labels
from rsnet_jax.evaluation.report import make_report, view_labels
from rsnet_jax.evaluation.settings import EvaluationSettings


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The way in which a data set is measured."""

    groups: Literal["actions", "sequences"]
    """The names in `Frames` that errors are added up for."""
    limits: tuple[float, ...]
    """Limits in mm, for each of which joints with smaller errors are counted."""
    make_report: Callable[[Mapping[str, Any], Views, EvaluationSettings], dict[str, Any]]
    """Makes the report from the sums of `measure.make_measure_step`."""
    labels: Callable[[Frames], dict[str, np.ndarray]]
    """Makes the columns that say what the views of `--predictions` are."""
    check: Callable[[EvaluationSettings], None]
    """Raises a ConfigError for settings that make no sense for the data set."""

    def group_names(self, frames: Views) -> tuple[str, ...]:
        """The names of the groups."""
        return getattr(frames, self.groups)

    def group(self, rows: Frames | Rows) -> Int[np.ndarray, " row"]:
        """The group of each row."""
        return getattr(rows, self.groups.removesuffix("s"))


def _check_action_settings(settings: EvaluationSettings) -> None:
    if settings.convention is not None:
        raise ConfigError(
            f"convention: {settings.convention} is one of PCK and AUC, by which mpi_inf_3dhp alone "
            "is measured; this data set is not"
        )


BY_ACTION = Protocol("actions", (), make_report, view_labels, _check_action_settings)
PCK = Protocol("sequences", LIMITS, make_pck_report, pck_labels, check_pck_settings)


def protocol_of(dataset: str) -> Protocol:
    """How the data set of that name is measured."""
    return PCK if dataset == MPI_INF_3DHP else BY_ACTION
