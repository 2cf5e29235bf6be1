import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_example_lifts_its_keypoints(tmp_path):
    """As a user runs it."""
    command = [sys.executable, "examples/lift_keypoints.py", "--out", tmp_path]
    done = subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "wrote 60 poses of 1 person to" in done.stdout
    with np.load(tmp_path / "poses.npz") as stored:
        assert stored["poses"].shape == (60, 26, 3)
        assert 3 < np.median(stored["root"][:, 2]) < 8  # as far as people of Human3.6M are
    assert len((tmp_path / "poses.csv").read_text().splitlines()) == 1 + 60 * 26
    assert "left wrist of frame 0, from the pelvis:" in done.stdout
