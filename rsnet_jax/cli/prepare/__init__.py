"""`rsnet-jax prepare SOURCE`: turns downloads into the files that training and evaluation read.

Each source is a module of this folder with a class of options and a `main`, and a row of `SOURCES`.
"""

import importlib
from collections.abc import Sequence

from rsnet_jax.errors import ConfigError

SOURCES = {
    "cmu": (
        "rsnet_jax.cli.prepare.cmu",
        "write motion capture of CMU as views; free to use",
    ),
    "h36m": (
        "rsnet_jax.cli.prepare.h36m",
        "write the files of Human3.6M from h36m.zip or the official files",
    ),
    "mpi-inf-3dhp": (
        "rsnet_jax.cli.prepare.mpi_inf_3dhp",
        "write the test set of MPI-INF-3DHP, for evaluation",
    ),
    "synthetic": (
        "rsnet_jax.cli.prepare.synthetic",
        "write the built-in data set as Human3.6M files",
    ),
}
"""Name of the source -> its module and a summary for the list of sources."""


def usage(prog: str) -> str:
    """The list of sources."""
    lines = [f"usage: {prog} SOURCE [OPTIONS]", ""]
    lines += ["Turns downloads into the files that training and evaluation read. Sources:"]
    lines += [f"  {name:<14}{summary}" for name, (_, summary) in SOURCES.items()]
    lines += ["", f"`{prog} SOURCE --help` lists the options of a source."]
    return "\n".join(lines)


def main(argv: Sequence[str], *, prog: str) -> None:
    """Runs the source that the first argument names, with the other arguments as its options.

    Raises:
        ConfigError: there is no such source.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print(usage(prog))
        return
    name, *rest = argv
    if name not in SOURCES:
        raise ConfigError(f"source: one of {', '.join(SOURCES)} was wanted, not {name!r}")
    importlib.import_module(SOURCES[name][0]).main(rest, prog=f"{prog} {name}")
