"""`rsnet-jax check-data`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from rsnet_jax.cli.options import parse
from rsnet_jax.cli.tables import prose
from rsnet_jax.data.h36m.check import check_h36m
from rsnet_jax.errors import ConfigError, DataError

MOST_LISTED = 20


@dataclasses.dataclass(frozen=True)
class CheckDataOptions:
    """Looks through a folder of Human3.6M files for whatever would make evaluation fail."""

    folder: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder with data_3d_h36m.npz and data_2d_h36m_<detections>.npz."""
    debug: bool = False
    """Show where an error came from."""


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses, checks, prints the report; a data set with problems is an error."""
    options = parse(CheckDataOptions, argv, prog=prog, default=CheckDataOptions())
    if options.folder is None:
        raise ConfigError("which FOLDER? Give the one that holds data_3d_h36m.npz")
    report = check_h36m(options.folder)
    for line in report.lines:
        print(prose(line, indent=28 if line.startswith(" ") else 2))
    print_listed("remark", report.remarks)
    print_listed("PROBLEM", report.problems)
    if report.problems:
        count = len(report.problems)
        raise DataError(f"{options.folder}: {count} problem{'s' * (count > 1)}, see above")
    print("no problems")


def print_listed(kind: str, entries: Sequence[str]) -> None:
    """A line for each entry, up to `MOST_LISTED`."""
    for entry in entries[:MOST_LISTED]:
        print(f"{kind}: {entry}")
    if len(entries) > MOST_LISTED:
        print(f"{kind}: ... and {len(entries) - MOST_LISTED:,} more like these")
