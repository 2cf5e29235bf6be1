"""The choice of sides and rows, and the measurement of one row after the other."""

import functools
import importlib.util
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rsnet_jax.benchmark import machine
from rsnet_jax.benchmark.comparison import ROWS, MakeSide, Result, Settings
from rsnet_jax.benchmark.live import measure_stream
from rsnet_jax.benchmark.ours import Ours
from rsnet_jax.benchmark.startup import measure_first_pose, measure_startup
from rsnet_jax.errors import ConfigError, shown

RIVALS = ("torch", "torch-eager", "torch-compile", "official:PATH")
RIVALS_NETWORK = "rsnet"
"""The only network that the rivals compute."""


def make_sides(against: Sequence[str], *, model: str) -> list[MakeSide]:
    """The constructors of our side and of the named rivals. Only here torch is imported.

    Args:
        against: the rivals.
        model: the name of the network that is measured.

    Raises:
        ConfigError: a rival is unknown or does not compute the network, or PyTorch or the clone of
            the official code is missing.
    """
    makers: list[MakeSide] = [Ours]
    for name in against:
        kind, _, path = name.partition(":")
        if name not in RIVALS and not (kind == "official" and path):
            raise ConfigError(f"against: one of {', '.join(RIVALS)} was wanted, not {shown(name)}")
        if model != RIVALS_NETWORK:
            raise ConfigError(f"against: {name} computes {RIVALS_NETWORK} only, not {model}")
    if against and importlib.util.find_spec("torch") is None:
        raise ConfigError("against: a rival needs PyTorch; pip install 'rsnet-jax[torch]'")
    if against:  # JAX would take most of a GPU's memory for itself
        os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.45")
    for name in against:
        kind, _, path = name.partition(":")
        if kind == "official":
            from rsnet_jax.benchmark import rival_official as official

            makers.append(functools.partial(official.OfficialSide, official.find(Path(path))))
        else:
            from rsnet_jax.benchmark.rival_torch import TorchSide

            only = {"torch-eager": [False], "torch-compile": [True]}
            for compiled in only.get(name, [False, True]):
                makers.append(functools.partial(TorchSide, compiled=compiled))
    return makers


def run(settings: Settings, *, rows: Sequence[str], against: Sequence[str]) -> Iterator[Result]:
    """Measures the named rows, or all rows if none is named; yields each result when it is done.

    Raises:
        RSNetError: a rival or the data is missing, or a rival computes something else.
    """
    makers = make_sides(against, model=settings.model)
    for row in rows or (*ROWS, "stream", "startup"):
        if row == "startup":
            yield from measure_startup(settings, startup_sides(against))
            yield from measure_first_pose(settings)
        elif row == "stream":
            yield measure_stream(settings)
        else:
            yield ROWS[row](settings, makers)


def startup_sides(against: Sequence[str]) -> list[str]:
    """Names of the sides in the start-up rows; the official code starts as torch eager does."""
    both = "torch" in against
    names = ["ours"]
    names += ["torch eager"] if both or "torch-eager" in against else []
    names += ["torch.compile"] if both or "torch-compile" in against else []
    return names


def facts(settings: Settings, *, against: Sequence[str]) -> dict[str, Any]:
    """Describes network, machine, versions and settings; those of torch only if it takes part."""
    model = {"model": settings.model}
    if not against:
        return model | machine.describe(settings.precision)
    import torch

    return model | machine.describe(settings.precision, torch=torch)
