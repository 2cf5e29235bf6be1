import logging

import pytest

from rsnet_jax.cli.main import main


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
def head(golden):
    return golden / "e2e_tiny" / "model_post_refine_2_eva_post_9957.pth"


def contents(folder):
    """Every path under a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
