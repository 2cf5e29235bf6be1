"""`rsnet-jax check-data`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from rsnet_jax.cli.options import parse
from rsnet_jax.data.check import check_h36m
from rsnet_jax.errors import ConfigError, DataError


@dataclasses.dataclass(frozen=True)
class CheckDataOptions:
    """Looks through a folder of Human3.6M files for whatever would make evaluation fail."""

    folder: Annotated[Path | None, tyro.conf.Positional] = None
    """Folder with data_3d_h36m.npz and data_2d_h36m_<detections>.npz."""
    debug: bool = False
    """Show where an error came from."""


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses, checks, prints the report; a data set with problems is an error."""
    options = parse(CheckDataOptions, argv, prog=prog, default=CheckDataOptions())
    if options.folder is None:
        raise ConfigError("which folder?")
    report = check_h36m(options.folder)
    print("\n".join(report.lines))
    for remark in report.remarks:
        print(f"remark: {remark}")
    for problem in report.problems:
        print(f"PROBLEM: {problem}")
    if report.problems:
        raise DataError(f"{options.folder}: {len(report.problems)} problems, listed above")
    print("no problems")
