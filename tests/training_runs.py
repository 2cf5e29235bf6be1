"""Small training runs, in this process and in others."""

import json
import multiprocessing
import os
import sys
import time
from pathlib import Path

import jax
import numpy as np

from rsnet_jax import load_checkpoint
from rsnet_jax.config import Config, load_preset
from rsnet_jax.training import loop

SMOKE = Path(__file__).parents[1] / "configs" / "smoke.yaml"
STEPS = 23  # of an epoch of the smoke preset
OFTEN = 1e-9  # minutes: save after every dispatch
SLOW_IMPORTS = ["orbax.checkpoint", "tensorboardX.event_file_writer", "tensorboardX.summary"]


def smoke(**sections) -> Config:
    """The smoke preset on one device, with some settings changed: `smoke(train={"epochs": 3})`."""
    config = load_preset(SMOKE)
    sections = {"parallel": {"devices": 1}} | sections
    changed = {
        name: type(getattr(config, name))(**(getattr(config, name).model_dump() | values))
        if isinstance(values, dict)
        else values
        for name, values in sections.items()
    }
    return config.model_copy(update=changed)


def train(workdir, *, resume=False, **sections):
    return loop.fit(smoke(**sections), workdir, resume=resume)


def lines(workdir):
    """metrics.jsonl without what differs between equal runs."""
    found = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    for line in found:
        del line["seconds"], line["samples_per_second"]
    return found


def assert_same_run(workdir, reference):
    """The metrics, the latest and the best weights are equal to the bit."""
    assert lines(workdir) == lines(reference)
    for step in ("latest", "best"):
        got, want = (load_checkpoint(folder, step=step) for folder in (workdir, reference))
        assert got.step == want.step
        weights = [(c.variables, c.refine_variables) for c in (got, want)]
        jax.tree.map(np.testing.assert_array_equal, *weights)


def damage(folder):
    """Cuts every file of some size in half."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size > 1000:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def run_hook(monkeypatch, hook):
    """Calls `hook(state, until)` after each dispatch; it may return another state."""
    compile_run = loop.prepare_train_loop

    def compile_with_hook(*args, **kwargs):
        run = compile_run(*args, **kwargs)

        def hooked(state, order, until):
            state = run.run_until(state, order, until)
            changed = hook(state, until)
            return state if changed is None else changed

        return run._replace(run_until=hooked)

    monkeypatch.setattr(loop, "prepare_train_loop", compile_with_hook)


class Command:
    """`rsnet-jax ...` in a process of its own, which starts fast: all is imported already."""

    def __init__(self, log, *argv, file_size=None, terminal=False, devices=None):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["rsnet_jax.cli.train", *SLOW_IMPORTS])
        argv = [str(argument) for argument in argv]
        cache = jax.config.jax_compilation_cache_dir
        self.log = log
        log.write_text("")
        arguments = (argv, str(log), cache, file_size, terminal, devices)
        self.process = context.Process(target=_main, args=arguments)
        self.process.start()

    def wait_for(self, text, *, seconds=60):
        end = time.monotonic() + seconds
        while text not in self.log.read_text():
            assert self.process.is_alive() and time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)

    def wait(self, seconds=120):
        """The exit code."""
        self.process.join(seconds)
        return self.process.exitcode


def _main(argv, log, cache, file_size, terminal, devices):
    if devices is not None:  # the flag counts when JAX starts its backend
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_default_matmul_precision", "highest")
    if terminal:
        _write_terminal_to(log)
    else:
        file = os.open(log, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
    if file_size is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, resource.RLIM_INFINITY))
    from rsnet_jax.cli.main import main

    sys.exit(main(argv))


def _write_terminal_to(log):
    """Makes stdout and stderr a terminal whose screen goes to a file."""
    import fcntl
    import struct
    import termios
    import threading

    outside, inside = os.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    os.dup2(inside, 1)
    os.dup2(inside, 2)

    def copy():
        with Path(log).open("ab", buffering=0) as file:
            while data := os.read(outside, 4096):
                file.write(data)

    threading.Thread(target=copy, daemon=True).start()
