"""`rsnet-jax check-data`: looks for faults in data."""

import json
from collections.abc import Sequence
from typing import Annotated

import tyro

from rsnet_jax.cli.options import CommandOptions, Debug, JsonFile, Overwrite
from rsnet_jax.cli.parsing import parse
from rsnet_jax.cli.tables import WIDTH, prose
from rsnet_jax.config.section import AnyPath
from rsnet_jax.data.check import check_folder
from rsnet_jax.errors import ConfigError, DataError
from rsnet_jax.files.outputs import atomic_write, ensure_writable

MOST_LISTED = 20


class CheckDataOptions(CommandOptions):
    """Looks through a folder of data for faults that would make training or evaluation fail, or
    their results mean nothing: Human3.6M files, a folder of views, or the file of MPI-INF-3DHP.

    Exit code 2 if there are such faults, 0 otherwise.
    """

    folder: Annotated[AnyPath | None, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder that holds data_3d_h36m.npz and data_2d_h36m_<detections>.npz, or index.json, or
    data_mpi_inf_3dhp.npz."""
    json_file: JsonFile = None
    overwrite: Overwrite = False
    debug: Debug = False


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses the options, checks the files, prints the report.

    Raises:
        DataError: the data set has problems.
    """
    options = parse(CheckDataOptions, argv, prog=prog, default=CheckDataOptions())
    if options.folder is None:
        raise ConfigError("which FOLDER? Give the one that holds data_3d_h36m.npz")
    if options.json_file is not None:
        ensure_writable(options.json_file, overwrite=options.overwrite)
    report = check_folder(options.folder)
    for line in report.lines:
        table = line.startswith("  px ") or " clips" in line[:16] or len(line) <= WIDTH
        print(line if table and len(line) <= WIDTH else prose(line, indent=28 if table else 4))
    print_listed("remark", [entry.message for entry in report.remarks])
    print_listed("PROBLEM", [entry.message for entry in report.problems])
    if options.json_file is not None:
        with atomic_write(options.json_file) as path:
            text = json.dumps(report.as_json(str(options.folder)), indent=2, allow_nan=False)
            path.write_text(text + "\n")
    if report.problems:
        count = len(report.problems)
        raise DataError(f"{options.folder}: {count} problem{'s' * (count > 1)}, see above")
    print("no problems")


def print_listed(kind: str, entries: Sequence[str]) -> None:
    """Prints a line per entry, up to `MOST_LISTED`."""
    for entry in entries[:MOST_LISTED]:
        print(f"{kind}: {entry}")
    if len(entries) > MOST_LISTED:
        print(f"{kind}: ... and {len(entries) - MOST_LISTED:,} more like these")
