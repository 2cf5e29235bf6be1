"""Published peak rates of accelerators, and the topologies that connect them."""

import dataclasses
import re
from typing import Literal

from rsnet_jax.config import Precision
from rsnet_jax.errors import ConfigError, shown

HOP_SECONDS = 1e-6
"""Least seconds of a message to a neighboring chip of a torus.

Source: https://jax-ml.github.io/scaling-book/sharding/ ("A note on ICI latency").
"""
GPU_COLLECTIVE_SECONDS = 20e-6
"""Seconds of a small all-reduce among GPUs; assumed, not published."""


@dataclasses.dataclass(frozen=True)
class Chip:
    """One kind of accelerator, as described by its maker."""

    name: str
    kind: Literal["tpu", "gpu"]
    peak: dict[Precision, float]
    """FLOP/s of matrix products in each precision of a configuration."""
    hbm_rate: float
    """Bytes per second to and from main memory."""
    hbm: float
    """Bytes of main memory."""
    link_rate: float
    """Bytes per second that leave by one link. TPU: to one neighbor; GPU: all of NVLink."""
    sources: tuple[str, ...]
    clock: float | None = None
    """Clock cycles per second, to convert the compiler's estimates; TPU only."""
    network_rate: float | None = None
    """GPU: bytes per second that leave a machine, per GPU."""
    axes: int = 0
    """TPU: dimensions of the torus."""
    ring: int = 0
    """TPU: an axis is closed to a ring if its length is a multiple of this number; with three axes,
    only if all of their lengths are."""
    largest: tuple[int, ...] = ()
    """TPU: the lengths of the axes of a whole pod."""


def _tpu(
    name: str,
    *,
    bf16: float,
    cells: int,
    hbm_rate: float,
    hbm: float,
    link_rate: float,
    ring: int,
    largest: tuple[int, ...],
    sources: tuple[str, ...],
) -> Chip:
    """A TPU chip with `cells` multipliers, each of which does two operations per cycle at the peak.

    Float32 products at the highest precision are six bfloat16 ones
    (https://docs.jax.dev/en/latest/jax.lax.html#jax.lax.Precision).
    """
    return Chip(
        name,
        "tpu",
        {"highest": bf16 / 6, "default": bf16, "bfloat16": bf16},
        hbm_rate=hbm_rate,
        hbm=hbm,
        link_rate=link_rate,
        sources=(*sources, "https://jax-ml.github.io/scaling-book/tpus/"),
        clock=bf16 / (2 * cells),
        axes=len(largest),
        ring=ring,
        largest=largest,
    )


CHIPS = {
    chip.name: chip
    for chip in (
        _tpu(  # four units of 128 x 128: 1.50 GHz
            "v5e",
            bf16=197e12,
            cells=4 * 128**2,
            hbm_rate=819e9,
            hbm=16e9,
            link_rate=45e9,
            ring=16,
            largest=(16, 16),
            sources=("https://docs.cloud.google.com/tpu/docs/v5e",),
        ),
        _tpu(  # two cores with four units of 128 x 128 each: 1.75 GHz
            "v5p",
            bf16=459e12,
            cells=2 * 4 * 128**2,
            hbm_rate=2765e9,
            hbm=95e9,
            link_rate=90e9,
            ring=4,
            largest=(16, 16, 24),
            sources=("https://docs.cloud.google.com/tpu/docs/v5p",),
        ),
        _tpu(  # 1.75 GHz with four units of 256 x 256, by which libtpu reckons; Google's page has
            # said both two and four
            "v6e",
            bf16=918e12,
            cells=4 * 256**2,
            hbm_rate=1640e9,
            hbm=32e9,
            link_rate=90e9,
            ring=16,
            largest=(16, 16),
            sources=("https://cloud.google.com/tpu/docs/v6e",),
        ),
        Chip(
            "a100",
            "gpu",
            {"highest": 19.5e12, "default": 156e12, "bfloat16": 312e12},
            hbm_rate=2039e9,
            hbm=80e9,
            link_rate=300e9,
            network_rate=25e9,
            sources=("https://www.nvidia.com/en-us/data-center/a100/",),
        ),
        Chip(
            "h100",
            "gpu",
            {"highest": 67e12, "default": 494.5e12, "bfloat16": 989e12},
            hbm_rate=3.35e12,
            hbm=80e9,
            link_rate=450e9,
            network_rate=50e9,
            sources=("https://www.nvidia.com/en-us/data-center/h100/",),
        ),
        Chip(
            "h200",
            "gpu",
            {"highest": 67e12, "default": 494.5e12, "bfloat16": 989e12},
            hbm_rate=4.8e12,
            hbm=141e9,
            link_rate=450e9,
            network_rate=50e9,
            sources=("https://www.nvidia.com/en-us/data-center/h200/",),
        ),
    )
}
GPUS_PER_MACHINE = 8
"""GPUs that are joined by NVLink; larger groups communicate over the network."""


@dataclasses.dataclass(frozen=True)
class Topology:
    """A number of chips of one kind, and their arrangement."""

    name: str
    chip: Chip
    shape: tuple[int, ...]  # TPU: axes of the torus; GPU: the number

    @property
    def chips(self) -> int:
        count = 1
        for side in self.shape:
            count *= side
        return count


_TPU = re.compile(r"^([a-z0-9]+):(\d+(?:x\d+)*)$")
_GPU = re.compile(r"^gpu:([a-z0-9]+):(\d+)$")


def parse_topology(name: str) -> Topology:
    """Parses the name of a topology: "v5e:16x16" or "gpu:h200:8".

    Raises:
        ConfigError: the chip or its arrangement does not exist.
    """
    tpus = [chip.name for chip in CHIPS.values() if chip.kind == "tpu"]
    gpus = [chip.name for chip in CHIPS.values() if chip.kind == "gpu"]
    if (match := _GPU.match(name)) and match.group(1) in gpus and int(match.group(2)) > 0:
        return Topology(name, CHIPS[match.group(1)], (int(match.group(2)),))
    if not (match := _TPU.match(name)) or match.group(1) not in tpus:
        raise ConfigError(
            f"topology: {' or '.join(f'{tpu}:{_example(CHIPS[tpu])}' for tpu in tpus)} (TPU) or "
            f"{' or '.join(f'gpu:{gpu}:8' for gpu in gpus)} was wanted, not {shown(name)}"
        )
    chip, shape = CHIPS[match.group(1)], tuple(map(int, match.group(2).split("x")))
    host = (2,) * 2 + (1,) * (chip.axes - 2)  # libtpu knows no smaller part
    if len(shape) != chip.axes or any(
        not side or side % least or side > most
        for side, least, most in zip(shape, host, chip.largest, strict=True)
    ):
        raise ConfigError(
            f"topology {name}: {chip.name} has {chip.axes} axes, the first two even, from "
            f"{chip.name}:{'x'.join(map(str, host))} to "
            f"{chip.name}:{'x'.join(map(str, chip.largest))}"
        )
    return Topology(name, chip, shape)


def _example(chip: Chip) -> str:
    return "x".join(["4"] * chip.axes)
