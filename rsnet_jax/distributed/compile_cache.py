"""A folder of compiled programs, which later commands load instead of compiling again."""

import hashlib
import os
import platform
from pathlib import Path

import jax

WORTH_SECONDS = 0.5
"""Programs that compile in less time are not stored."""


def enable_compile_cache() -> None:
    """Turns JAX's compilation cache on, in the user's cache folder.

    JAX_COMPILATION_CACHE_DIR names another folder, JAX_ENABLE_COMPILATION_CACHE=false turns it off.
    """
    if jax.config.jax_compilation_cache_dir is not None:  # pyright: ignore[reportAttributeAccessIssue]
        return
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "rsnet_jax" / f"compiled-{processor()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that cannot be written to
        return
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", WORTH_SECONDS)


def processor() -> str:
    """A name for the kind of this processor.

    Machines that share a home folder may have different processors, which cannot run each other's
    programs.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = [platform.processor()]
    kind = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    return hashlib.sha256("\n".join([platform.machine(), *kind]).encode()).hexdigest()[:12]
