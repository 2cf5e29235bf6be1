"""All rows one after the other."""

import functools
import importlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rsnet_jax.benchmark import machine
from rsnet_jax.benchmark.comparison import ROWS, MakeSide, Result, Settings
from rsnet_jax.benchmark.ours import Ours
from rsnet_jax.benchmark.startup import measure_startup
from rsnet_jax.errors import ConfigError

RIVALS = ("torch", "torch-eager", "torch-compile", "official:PATH")


def make_sides(against: Sequence[str]) -> list[MakeSide]:
    """What makes ours and the rivals named.

    Raises:
        ConfigError: a rival is unknown, or what it needs is not there.
    """
    makers: list[MakeSide] = [Ours]
    if against and importlib.util.find_spec("torch") is None:
        raise ConfigError("against: a rival needs PyTorch; pip install 'rsnet-jax[torch]'")
    if against:  # JAX would take most of a GPU's memory for itself
        os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.45")
    for name in against:
        kind, _, path = name.partition(":")
        if kind == "official" and path:
            official: Any = importlib.import_module("rival_official")
            makers.append(functools.partial(official.OfficialSide, official.find(Path(path))))
        elif name in RIVALS:
            twin: Any = importlib.import_module("rival_torch")
            for compiled in {"torch-eager": [False], "torch-compile": [True]}.get(
                name, [False, True]
            ):
                makers.append(functools.partial(twin.TorchSide, compiled=compiled))
        else:
            raise ConfigError(f"against: one of {', '.join(RIVALS)} was wanted, not {name!r}")
    return makers


def run(settings: Settings, *, rows: Sequence[str], against: Sequence[str]) -> Iterator[Result]:
    """Measures row by row; none named means all.

    Raises:
        RSNetError: a rival or the data cannot be had, or a rival computes something else.
    """
    makers = make_sides(against)
    for row in rows or (*ROWS, "startup"):
        if row == "startup":
            yield from measure_startup(settings, startup_sides(against))
        else:
            yield ROWS[row](settings, makers)


def startup_sides(against: Sequence[str]) -> list[str]:
    """The sides of the start-up rows; the authors' program starts as torch eager does."""
    both = "torch" in against
    names = ["ours"]
    names += ["torch eager"] if both or "torch-eager" in against else []
    names += ["torch.compile"] if both or "torch-compile" in against else []
    return names


def facts(settings: Settings, *, against: Sequence[str]) -> dict[str, Any]:
    """What it is measured on."""
    torch = importlib.import_module("torch") if against else None
    return machine.describe(settings.precision, torch=torch)
