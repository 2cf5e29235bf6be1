"""Small training runs, in this process and in others."""

import json
import logging
import multiprocessing
import os
import pickle
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled_programs import share_compiled_programs

from rsnet_jax import load_checkpoint
from rsnet_jax.checkpoints.load import saved_steps
from rsnet_jax.config import Config, load_preset
from rsnet_jax.training import loop
from rsnet_jax.training.report import Result

SMOKE = Path(__file__).parents[1] / "configs" / "smoke.yaml"
STEPS = 23  # of an epoch of the smoke preset
EPOCHS = 3  # show the latest, the best and one more; the number is part of the compiled program
OFTEN = 1e-9  # minutes: save after every dispatch


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
    """Trains for `EPOCHS` epochs, unless told otherwise."""
    sections["train"] = {"epochs": EPOCHS} | sections.get("train", {})
    return loop.fit(smoke(**sections), workdir, resume=resume)


class FinishedRun(NamedTuple):
    """A run that nothing happened to."""

    workdir: Path
    result: Result
    messages: list[str]


def train_and_record(folder):
    """Trains in a folder below `folder`, and writes a pickled `FinishedRun` beside it."""
    workdir, messages, handler = folder / "new" / "run", [], logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.getLogger("rsnet_jax")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    result = train(workdir)
    logger.removeHandler(handler)
    logger.setLevel(level)
    (folder / "record").write_bytes(pickle.dumps(FinishedRun(workdir, result, messages)))


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

        def hooked(state, samples, until):
            state = run.run_until(state, samples, until)
            changed = hook(state, until)
            return state if changed is None else changed

        return run._replace(run_until=hooked)

    monkeypatch.setattr(loop, "prepare_train_loop", compile_with_hook)


class Killed(BaseException):
    """Caught by no code of ours, like SIGKILL."""


SAVING_OFTEN = {"save_minutes": OFTEN}


def train_until_killed(workdir, **sections):
    """Saves after every dispatch, and dies in the second epoch; returns the last step saved.

    To resume the run takes `train=SAVING_OFTEN`.
    """

    def die(state, until):
        if until > STEPS + 5:
            raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        run_hook(patch, die)
        train(workdir, train=SAVING_OFTEN, **sections)
    newest = saved_steps(workdir / "checkpoints")[-1]
    assert STEPS < newest < 2 * STEPS
    return newest


def train_without_computing(monkeypatch, change=lambda state: state):
    """Replaces the compiled training steps: `change(state)` stands for every dispatch."""

    def prepare(*args, **kwargs):
        def advance(state, samples, until):
            steps = jnp.float32(until - int(state.step))
            sums = jax.tree.map(lambda total: total + steps, state.sums)
            return change(state._replace(step=jnp.int32(until), sums=sums))

        return loop.TrainLoop(lambda epoch, step: nullcontext(), advance, 4)

    monkeypatch.setattr(loop, "prepare_train_loop", prepare)


class Command:
    """`rsnet-jax ...` in a process of its own, which starts fast: see `preloaded`."""

    def __init__(self, log, *argv, file_size=None, terminal=False, devices=None):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["preloaded"])
        argv = [str(argument) for argument in argv]
        self.log = log
        log.write_text("")
        arguments = (argv, str(log), file_size, terminal, devices)
        self.process = context.Process(target=_main, args=arguments)
        with pytest.MonkeyPatch.context() as patch:  # the server's path, when this starts it
            patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
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


def _main(argv, log, file_size, terminal, devices):
    if devices is not None:  # the flag counts when JAX starts its backend
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    share_compiled_programs()
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
    from rsnet_jax.__main__ import main

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
