import contextlib
import logging
import os
import pickle
import shutil
import signal
from pathlib import Path

# Before JAX starts: the CPU poses as several devices.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)

import jaxtyping

# Before rsnet_jax is imported: every call is checked against the types and shapes in the signature.
jaxtyping.install_import_hook("rsnet_jax", "checked_calls.check")

import jax
import numpy as np
import pytest
from compiled_programs import default_folder, drop_oldest_programs, share_compiled_programs
from filelock import FileLock
from training_runs import FinishedRun, train_and_record

from rsnet_jax.cli.main import main

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "highest")
share_compiled_programs()


def pytest_sessionstart(session):
    # `nohup` and shells that start jobs in the background have signals ignored, which programs keep
    # and tests of signals must not inherit.
    for number, usual in (
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGINT, signal.default_int_handler),
    ):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, usual)
    if not hasattr(session.config, "workerinput"):  # once, not by every worker of xdist
        drop_oldest_programs(default_folder())


GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden():
    return GOLDEN


@pytest.fixture(scope="session")
def mocap():
    """The folder that holds cmu_mocap and cmu_mocap_tiny; they are not part of the repository."""
    folder = os.environ.get("RSNET_MOCAP")
    if not folder:
        pytest.skip("RSNET_MOCAP is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Makes a folder once for all workers: `once(name, make)` returns what `make(folder)` filled.

    Tests read it; one that changes it works on a copy.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def folder(name, make):
        path, done = root / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(path, ignore_errors=True)  # of an attempt that failed
                path.mkdir()
                make(path)
                done.touch()
        return path

    return folder


@pytest.fixture(scope="session")
def finished_run(once) -> FinishedRun:
    """A run of the smoke preset on one device that nothing happened to."""
    folder = once("finished_run", train_and_record)
    return pickle.loads((folder / "record").read_bytes())


@pytest.fixture
def unchecked_calls():
    """Calls are not checked against the signatures, as in use: our own errors come through."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def full_disk():
    """A context in which no file can grow: each write is an error, as on a full disk."""
    resource = pytest.importorskip("resource")

    @contextlib.contextmanager
    def limited():
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def cli(capsys):
    """Runs `rsnet-jax ...` in this process; returns the exit code and what was printed."""

    def run(*argv):
        level, handlers = logging.getLogger("rsnet_jax").level, list(logging.getLogger().handlers)
        try:
            code = main([str(argument) for argument in argv])
        finally:
            logging.getLogger("rsnet_jax").setLevel(level)
            logging.getLogger().handlers[:] = handlers
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def refused(cli):
    """Runs a command that must fail with one line; returns that line without its beginning."""

    def run(*argv):
        code, out, err = cli(*argv)
        start = f"rsnet-jax {argv[0]}: error: "
        assert (code, out) == (2, "")
        assert err.startswith(start) and err.count("\n") == 1 and err.endswith("\n")
        assert "Traceback" not in err and "None" not in err and "<class" not in err
        return err.removeprefix(start).strip()

    return run


@pytest.fixture
def network(golden):
    return golden / "e2e_tiny" / "model_rsnet_2_eva_post_9957.pth"


@pytest.fixture
def refinement(golden):
    return golden / "e2e_tiny" / "model_post_refine_2_eva_post_9957.pth"
