"""`rsnet-jax check-data`: looks for faults in files of Human3.6M and MPI-INF-3DHP."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from rsnet_jax.cli.options import CommandOptions, Debug
from rsnet_jax.cli.parsing import parse
from rsnet_jax.cli.tables import prose
from rsnet_jax.config.section import AnyPath
from rsnet_jax.data.h36m.check import Report, check_h36m
from rsnet_jax.data.h36m.read import FILE_3D
from rsnet_jax.data.mpi_inf_3dhp.check import check_mpi_inf_3dhp, holds_mpi_inf_3dhp
from rsnet_jax.errors import ConfigError, DataError

MOST_LISTED = 20


class CheckDataOptions(CommandOptions):
    """Looks through a folder of Human3.6M files, or the file of MPI-INF-3DHP, for faults that would
    make training or evaluation fail.
    """

    folder: Annotated[AnyPath | None, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder that holds data_3d_h36m.npz and data_2d_h36m_<detections>.npz; or a folder that holds
    data_mpi_inf_3dhp.npz or test_3dhp.npz, or such a file itself."""
    debug: Debug = False


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses the options, checks the files, prints the report.

    Raises:
        DataError: the data set has problems.
    """
    options = parse(CheckDataOptions, argv, prog=prog, default=CheckDataOptions())
    if options.folder is None:
        raise ConfigError("which FOLDER? Give the one that holds data_3d_h36m.npz")
    report = check_folder(options.folder)
    for line in report.lines:
        print(prose(line, indent=28 if line.startswith(" ") else 2))
    print_listed("remark", report.remarks)
    print_listed("PROBLEM", report.problems)
    if report.problems:
        count = len(report.problems)
        raise DataError(f"{options.folder}: {count} problem{'s' * (count > 1)}, see above")
    print("no problems")


def check_folder(path: Path) -> Report:
    """The report on whatever data set the files belong to; Human3.6M comes first."""
    other = holds_mpi_inf_3dhp(path) and not (path / FILE_3D).exists()
    return check_mpi_inf_3dhp(path) if other else check_h36m(path)


def print_listed(kind: str, entries: Sequence[str]) -> None:
    """Prints a line per entry, up to `MOST_LISTED`."""
    for entry in entries[:MOST_LISTED]:
        print(f"{kind}: {entry}")
    if len(entries) > MOST_LISTED:
        print(f"{kind}: ... and {len(entries) - MOST_LISTED:,} more like these")
