"""Finds out what a folder of data holds, and reports its contents and problems."""

import os

from rsnet_jax.data.h36m.check import check_h36m
from rsnet_jax.data.h36m.read import FILE_3D, file_2d
from rsnet_jax.data.mpi_inf_3dhp.check import check_mpi_inf_3dhp, holds_mpi_inf_3dhp
from rsnet_jax.data.report import Report
from rsnet_jax.data.views.calibration import check_views_folder
from rsnet_jax.data.views.format import holds_views
from rsnet_jax.files.paths import to_path


def check_folder(root: str | os.PathLike[str]) -> Report:
    """Reports on every data set of a folder; without one, on missing Human3.6M files."""
    report, folder = Report(), to_path(root)
    if folder.is_dir() and holds_views(folder):
        check_views_folder(folder, report)
    h36m = (folder / FILE_3D).exists() or any(folder.glob(file_2d("*")))
    if holds_mpi_inf_3dhp(folder) and not h36m:
        check_mpi_inf_3dhp(folder, report)
    if h36m or not report.data_sets:
        check_h36m(root, report)
    return report
