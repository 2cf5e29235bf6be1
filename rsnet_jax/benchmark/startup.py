"""The start-up rows: imports and first calls in fresh interpreters, with empty and filled cache."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rsnet_jax.benchmark.comparison import Result, Settings
from rsnet_jax.benchmark.timing import LEAST_REPEATS, Times

CHILD = Path(__file__).with_name("startup_child.py")
PHASES = {
    "import": "start-up: import, from the start of the interpreter",
    "prediction": "start-up: first prediction",
    "training": "start-up: first training step",
}
CACHES = ("empty", "filled")


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


def start(name: str, settings: Settings, cache: Path) -> dict[str, float]:
    """Runs the phases in a fresh interpreter; returns the seconds of each."""
    caches = {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "TORCHINDUCTOR_CACHE_DIR": str(cache),
    }
    # By path, not by name: a name would import rsnet_jax and JAX before torch's clock stops.
    sizes = [settings.width, settings.batch, settings.precision]
    arguments = [name, settings.model, *sizes, time.time()]
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", str(CHILD), *map(str, arguments)],
        env=os.environ | caches,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])
