"""The compilation cache of the tests: one folder for all workers, their children and later runs."""

import os
import tempfile
from pathlib import Path

import jax

try:
    from jax._src import lru_cache
except ImportError:  # private: the cache is then written as JAX does it
    lru_cache = None

from rsnet_jax.distributed.compile_cache import processor

WORTH_SECONDS = 0.1
"""Programs that compile faster are not kept."""
MAX_BYTES = 1 << 30


def default_folder() -> Path:
    """The folder in the user's cache; JAX_COMPILATION_CACHE_DIR names another one."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / f"rsnet-jax-tests-{jax.__version__}-{processor()}"


def share_compiled_programs() -> None:
    """Turns the cache on, here and in the processes that this one starts."""
    folder = Path(os.environ.get("JAX_COMPILATION_CACHE_DIR") or default_folder())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that cannot be written to
        return
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = str(WORTH_SECONDS)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", WORTH_SECONDS)
    if lru_cache is not None:
        lru_cache.LRUCache.put = put


def put(cache, key: str, value: bytes) -> None:
    """Stores a program under its name at once.

    JAX writes it piece by piece. Another process could read half of it, and after SIGKILL, which
    some tests send, half of it would stay.
    """
    folder = Path(str(cache.path))
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".partial", delete=False) as file:
        file.write(value)
    Path(file.name).replace(folder / f"{key}-cache")


def drop_oldest_programs(folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
    """Deletes the programs that were compiled first, until `folder` has at most `max_bytes`."""
    files = [(path.stat(), path) for path in folder.glob("*-cache")]
    total = sum(about.st_size for about, _ in files)
    for about, path in sorted(files, key=lambda file: file[0].st_mtime):
        if total <= max_bytes:
            break
        path.unlink(missing_ok=True)
        total -= about.st_size
