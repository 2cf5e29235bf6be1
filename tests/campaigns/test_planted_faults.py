import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).with_name("planted_faults.py")
ROOT = CAMPAIGN.parents[2]


def run(*options):
    command = [sys.executable, CAMPAIGN, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(autouse=True)
def checkout():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the campaign copies what git tracks")


def test_every_fault_fits_the_source_and_names_tests_that_exist():
    done = run("--check")
    assert done.returncode == 0, done.stderr


def test_unknown_fault_is_refused():
    done = run("--only", "no such fault")
    assert done.returncode == 1 and "no fault called 'no such fault'" in done.stderr


@pytest.mark.slow
def test_planted_fault_is_killed_by_its_test():
    done = run("--only", "single GELU")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "single GELU: tests/models/test_rsnet.py" in done.stdout
