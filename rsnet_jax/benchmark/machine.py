"""The machine that figures are measured on, and its peak rates for comparison."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rsnet_jax.benchmark.timing import Run
from rsnet_jax.config import Precision
from rsnet_jax.models.build import compute_dtype

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "torch")


def visible_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe(precision: Precision, *, torch: Any = None) -> dict[str, Any]:
    """Describes device, versions, threads and precision, also of the module `torch` if given."""
    device = jax.devices()[0]
    facts = {
        "device": f"{jax.device_count()} x {device.device_kind} ({device.platform})",
        "processor": processor(),
        "cores": visible_cores(),
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := version_of(name))},
        "precision": precision,
        "jax_threads": f"XLA's own pool, {visible_cores()} cores visible",
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }
    if torch is not None:
        facts["torch_device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
        facts["torch_threads"] = torch.get_num_threads()
        facts["torch_float32_matmul_precision"] = torch.get_float32_matmul_precision()
        facts["torch_cudnn_allow_tf32"] = torch.backends.cudnn.allow_tf32
    return facts


def load_of_others() -> float:
    """Number of running processes per core in the last minute; call it before the measurement."""
    return os.getloadavg()[0] / visible_cores() if hasattr(os, "getloadavg") else 0.0


def version_of(package: str) -> str | None:
    """Version of an installed package; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """Name of the processor, or its architecture if the system does not give the name."""
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


class Ruler(NamedTuple):
    """A simple operation that runs at the peak rate of the machine."""

    run: Run
    amount: float
    """Operations or bytes per call."""


def rulers(precision: Precision, *, width: int, batch: int) -> dict[str, Ruler]:
    """Rulers for the device, in the dtype and precision in use.

    They are a square matrix product of suitable size, the product of the network's own layer (all
    joints of a batch times the weights of all hops), and a copy (one read and one write).
    """
    small = jax.default_backend() == "cpu"
    size = 1024 if small else 8192
    numbers = 2**24 if small else 2**28
    square = jnp.full((size, size), 1 / size, compute_dtype(precision))
    rows, chan, out = 16 * batch, 4 * width, 12 * width
    joints = jnp.ones((rows, chan), square.dtype)
    weights = jnp.ones((chan, out), square.dtype)
    line = jnp.zeros(numbers, jnp.float32)
    multiply = jax.jit(jnp.matmul)
    copy = jax.jit(lambda x: x + 1)  # a mere copy could be left out by the compiler

    def product(times: int) -> None:
        result = square
        with jax.default_matmul_precision(precision):
            for _ in range(times):
                result = multiply(result, square)
        result.block_until_ready()

    def layer(times: int) -> None:
        result = None
        with jax.default_matmul_precision(precision):
            for _ in range(times):
                result = multiply(joints, weights)
        jax.block_until_ready(result)

    def move(times: int) -> None:
        result = line
        for _ in range(times):
            result = copy(result)
        result.block_until_ready()

    return {
        "matrix product": Ruler(product, 2.0 * size**3),
        "layer's product": Ruler(layer, 2.0 * rows * chan * out),
        "copy": Ruler(move, 2.0 * line.nbytes),
    }
