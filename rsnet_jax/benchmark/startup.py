"""The start-up rows: imports and first calls in fresh interpreters, with empty and filled cache."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsnet_jax import __version__
from rsnet_jax.benchmark.comparison import Result, Settings, checkpoint_for
from rsnet_jax.benchmark.timing import LEAST_REPEATS, Times
from rsnet_jax.checkpoints.orbax_folder import save_checkpoint
from rsnet_jax.errors import ConfigError
from rsnet_jax.interchange.onnx_file import save_onnx
from rsnet_jax.interchange.program import program_of

CHILD = Path(__file__).with_name("startup_child.py")
PHASES = {
    "import": "start-up: import, from the start of the interpreter",
    "prediction": "start-up: first prediction",
    "training": "start-up: first training step",
}
CACHES = ("empty", "filled")
LIFTER_CHILD = Path(__file__).with_name("lifter_child.py")


def measure_startup(settings: Settings, names: Sequence[str]) -> list[Result]:
    """Measures each phase of start-up with an empty and a filled compilation cache.

    Args:
        settings: network, width, batch, precision, time.
        names: names of the sides: ours, torch eager, torch.compile.
    """
    times: dict[tuple[str, str], dict[str, list[float]]] = {}
    end, done = time.monotonic() + settings.seconds, 0
    while done < LEAST_REPEATS or time.monotonic() < end:
        for name in names:
            with tempfile.TemporaryDirectory() as cache:
                for state in CACHES:
                    for phase, seconds in start(name, settings, Path(cache)).items():
                        times.setdefault((phase, state), {}).setdefault(name, []).append(seconds)
        done += 1
    results = []
    for phase, title in PHASES.items():
        # The import does not use the cache; in the second process its files are in memory.
        for state in CACHES if phase != "import" else CACHES[1:]:
            label = title if phase == "import" else f"{title}, {state} cache"
            row = Result(f"startup {phase} {state}", label, Times(times[phase, state]), {}, {})
            results.append(row)
    return results


def measure_first_pose(settings: Settings) -> list[Result]:
    """Measures when a fresh process has its first pose: `Lifter.load`, and one call for one frame.

    By JAX from an Orbax folder, with an empty and a filled compilation cache; and from an ONNX file
    of the same network, which needs no cache. The flip test is part of all.
    """
    times: dict[str, dict[str, list[float]]] = {state: {} for state in CACHES}
    with tempfile.TemporaryDirectory() as folder:
        paths, not_run = _lifters(settings, Path(folder))
        end, done = time.monotonic() + settings.seconds, 0
        while done < LEAST_REPEATS or time.monotonic() < end:
            cache = Path(folder) / f"cache{done}"
            for state in CACHES:
                for name, path in paths.items():
                    seconds = _run(LIFTER_CHILD, [path, time.time()], cache)["first pose"]
                    times[state].setdefault(name, []).append(seconds)
            done += 1
    title = "start-up: first pose of a Lifter, from the start of the interpreter"
    return [
        Result(f"startup pose {state}", f"{title}, {state} cache", Times(times[state]), {}, not_run)
        for state in CACHES
    ]


def _lifters(settings: Settings, folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """The same weights as a checkpoint and as an ONNX file; and what cannot be had, and why."""
    checkpoint = checkpoint_for(settings, width=settings.width)
    paths, not_run = {"ours": folder / "weights", "ours by ONNX": folder / "network.onnx"}, {}
    save_checkpoint(paths["ours"], checkpoint)
    exported = paths["ours by ONNX"]
    try:
        program = program_of(checkpoint, flip_test=True)
        save_onnx(exported, checkpoint, program, license_text="none", version=__version__)
    except ConfigError as error:
        del paths["ours by ONNX"]
        not_run["ours by ONNX"] = str(error)
    return paths, not_run


def start(name: str, settings: Settings, cache: Path) -> dict[str, float]:
    """Runs the phases in a fresh interpreter; returns the seconds of each."""
    # By path, not by name: a name would import rsnet_jax and JAX before torch's clock stops.
    sizes = [settings.width, settings.batch, settings.precision]
    return _run(CHILD, [name, settings.model, *sizes, time.time()], cache)


def _run(script: Path, arguments: Sequence[Any], cache: Path) -> dict[str, float]:
    """Runs a script in a fresh interpreter; returns what it prints."""
    caches = {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "TORCHINDUCTOR_CACHE_DIR": str(cache),
    }
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", str(script), *map(str, arguments)],
        env=os.environ | caches,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])
