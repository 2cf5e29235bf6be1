import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from keypoints.square_detector import write_film

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("mediapipe") is None, reason="no mediapipe"),
]


def predict(*arguments):
    """Runs `rsnet-jax predict` as a user does: what MediaPipe writes past Python is seen."""
    command = [sys.executable, "-m", "rsnet_jax", "predict", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.fixture
def weights(golden):
    return golden / "rsnet" / "model_rsnet_3_eva_post_4711.pth"


@pytest.fixture
def real_video():
    """A man who balances: the demonstration in the wheel of pose2sim (BSD-3-Clause)."""
    spec = importlib.util.find_spec("Pose2Sim")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        video = Path(folder) / "Demo_SinglePerson" / "videos" / "cam01.mp4"
        if video.is_file():
            return video
    pytest.skip("pose2sim is not installed (pip install --no-deps pose2sim)")


def test_nobody_is_said_in_one_line(tmp_path, weights):
    film = write_film(tmp_path / "square.mp4")
    done = predict(film, "--checkpoint", weights, "--out", tmp_path / "a.npz")
    assert done.returncode == 2 and not done.stdout
    said = f"python -m rsnet_jax predict: error: {film}: nobody was found in any of 8 frames\n"
    assert done.stderr == said
    assert not (tmp_path / "a.npz").exists()


def test_a_person_in_a_real_video(tmp_path, weights, real_video, mocap):
    """Against landmarks that MediaPipe itself found in the same video, stored elsewhere."""
    done = predict(real_video, "--checkpoint", weights, "--out", tmp_path / "a.npz")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].endswith("100 poses in 100 frames of 1080x1920, 60 frames per second")
    assert not [line for line in lines if "TensorFlow" in line or line.startswith(("W0", "I0"))]
    with np.load(mocap / "video_reference" / "balance_views_0_2.npz") as reference:
        wanted = reference["keypoints"][0]
    with np.load(tmp_path / "a.npz") as stored:
        apart = np.linalg.norm(stored["keypoints"] - wanted, axis=-1)
        assert stored["valid"].all() and np.isfinite(stored["poses"]).all()
    assert np.median(apart) < 1  # pixel
