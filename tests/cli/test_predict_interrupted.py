import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cli.conftest import contents
from keypoints.detector_files import points_of

from rsnet_jax.pose.layouts import COCO_17

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["lifting", "writing"])
def test_interrupt_leaves_no_file(tmp_path, golden, moment):
    """A real SIGINT, once the input is described, and once a part of the output is written."""
    points = np.tile(points_of(COCO_17, frames=40), (500, 1, 1))
    np.savez(tmp_path / "long.npz", keypoints=points, layout="coco17")
    weights = golden / "e2e_tiny" / "model_rsnet_2_eva_post_9957.pth"
    command = [sys.executable, "-m", "rsnet_jax", "predict", str(tmp_path / "long.npz")]
    command += ["--size", "640x480", "--checkpoint", str(weights), "--out"]
    process = subprocess.Popen(
        [*command, str(tmp_path / "poses.json")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = [process.stderr.readline()]
    while "20,000 poses" not in said[-1]:
        said.append(process.stderr.readline())
        assert said[-1], said  # it ended
    partial = tmp_path / f".{process.pid}.poses.json"
    while moment == "writing" and not (partial.exists() and partial.stat().st_size > 10_000):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert told.splitlines()[-1].endswith("predict: interrupted")
    assert "Traceback" not in told
    assert contents(tmp_path) == ["long.npz"]
