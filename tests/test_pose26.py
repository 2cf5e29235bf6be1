"""The weights that come with the package: their file, their card, and what they are good for."""

import dataclasses
import json
import re
import subprocess
import sys
import types
from pathlib import Path

import jax
import numpy as np
import pytest
from script_loader import load_script

from rsnet_jax import Lifter, load_checkpoint
from rsnet_jax.checkpoints.bundled import FOLDER, POSE26, bundled_file
from rsnet_jax.checkpoints.safetensors_file import read_card
from rsnet_jax.errors import CheckpointError
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.lifting.recording import lift_recording
from rsnet_jax.lifting.settings import LiftSettings
from rsnet_jax.models.person_frame import to_camera
from rsnet_jax.pose import metrics
from rsnet_jax.pose.layouts import LAYOUTS

ROOT = Path(__file__).parents[1]
FILE, POSE26_EXPORTED = (FOLDER / f"{POSE26}{suffix}" for suffix in (".safetensors", ".onnx"))
LIMBS = [
    f"{side}_{part}"
    for side in ("left", "right")
    for part in ("hip", "shoulder", "elbow", "wrist", "knee", "ankle")
]
card_script = load_script("benchmarks/pose26.py")
shipping = load_script("scripts/ship_pose26.py")


@pytest.fixture(scope="module")
def figures():
    return json.loads((ROOT / "benchmarks/results/pose26.json").read_text())


@pytest.fixture(scope="module")
def lifter():
    return Lifter.load(POSE26)


def test_file_is_small_and_found_by_its_name(tmp_path, monkeypatch):
    assert FILE.stat().st_size < 4 * 2**20
    assert load_checkpoint(POSE26).fingerprint == load_checkpoint(FILE).fingerprint
    assert load_checkpoint(POSE26).source == POSE26
    assert bundled_file("poses") is None
    with pytest.raises(
        CheckpointError,
        match="no file or folder .pose62., nor do such weights come with the package; pose26 does",
    ):
        load_checkpoint("pose62")
    (tmp_path / POSE26).mkdir()  # a folder of the user comes first
    monkeypatch.chdir(tmp_path)
    assert bundled_file(POSE26) is None


@pytest.mark.parametrize("file", [FILE, POSE26_EXPORTED], ids=lambda file: file.suffix)
def test_files_name_no_folder_of_the_machine_they_were_made_on(file):
    found = re.findall(rb'"((?:/|[A-Z]:)[\w./-]{3,})"', file.read_bytes())
    assert b"pose26/views" in file.read_bytes() and found == []


def test_exported_file_is_the_same_network(lifter, rng):
    pytest.importorskip("onnxruntime")
    exported = Lifter.load(POSE26_EXPORTED)
    assert POSE26_EXPORTED.stat().st_size < 4 * 2**20
    size, scores = (800, 600), rng.uniform(size=(9, 17))
    keypoints = rng.uniform(100, 500, size=(9, 17, 2))
    want = lifter(keypoints, scores, image_size=size, layout="coco17")
    got = exported(keypoints, scores, image_size=size, layout="coco17")
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


def test_predict_lifts_with_it_and_without_jax(tmp_path, rng):
    """JAX takes longer to start than a short clip to lift."""
    pytest.importorskip("onnxruntime")
    keypoints = rng.uniform(100, 500, size=(17, 2)) + [[[0, 0]], [[1, 1]]]
    scores = np.ones((2, 17))
    np.savez(tmp_path / "a.npz", keypoints=keypoints, scores=scores)
    options = ["--size", "800x600", "--layout", "coco17", "--out", "poses.npz"]
    script = (
        "import sys; from rsnet_jax.cli import predict; "
        f"predict.main(['a.npz', *{options}], prog='predict'); "
        "print(*[m for m in ('jax', 'flax') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "", "modules that were imported"
    with np.load(tmp_path / "poses.npz") as stored:
        assert stored["valid"].all()
        assert json.loads(str(stored["header"]))["checkpoint"] == POSE26
        want = Lifter.load(POSE26)(keypoints, scores, image_size=(800, 600), layout="coco17")
        np.testing.assert_allclose(stored["poses"], want, rtol=0, atol=1e-5)


def test_card_in_the_file_and_in_the_docs_are_the_figures(cli, figures):
    card = read_card(FILE)
    assert card is not None and card.errors == shipping.headline(figures)
    page = (ROOT / "docs/pose26.md").read_text()
    start, end = "<!-- tables of benchmarks/results/pose26.json -->\n", "<!-- end of tables -->"
    shown = page[page.index(start) + len(start) : page.index(end)]
    assert shown.strip() == card_script.report(figures).strip()
    code, out, _ = cli("info", POSE26)
    words = " ".join(out.split())
    assert code == 0 and "mocap.cs.cmu.edu" in words and "people who lie" in words
    for name, figure in card.errors.items():
        assert f"{name} {figure:g}" in words


def test_stated_errors_can_be_scaled_without_another_pose(lifter, rng):
    keypoints = rng.uniform(-0.5, 0.5, size=(5, 26, 3)).astype(np.float32)
    poses, stated = lifter.lift_with_errors(keypoints)
    scaled = Lifter(shipping.stating_more(load_checkpoint(POSE26), 1.25))
    got, more = scaled.lift_with_errors(keypoints)
    np.testing.assert_array_equal(got, poses)
    np.testing.assert_allclose(more, 1.25 * stated, rtol=1e-5)


def test_the_mean_of_weights_leaves_counters_alone():
    one = load_checkpoint(POSE26)
    other = dataclasses.replace(one, variables=jax.tree.map(lambda x: x + 1, one.variables))
    mean = shipping.mean_of([one, other]).variables
    count = one.variables["batch_stats"]["non_local"]["norm"]["count"]
    assert mean["batch_stats"]["non_local"]["norm"]["count"] == count + 1
    weight = one.variables["params"]["output"]["weight"]
    np.testing.assert_allclose(mean["params"]["output"]["weight"], weight + 0.5, rtol=1e-6)


def test_understatement_is_that_of_known_errors(lifter, rng):
    """Truth 3 cm beside every joint: the true error is 3 cm, whatever joint 0 says."""
    keypoints = rng.uniform(0.1, 0.6, size=(5, 26, 3)).astype(np.float32)
    cameras = np.float32([[2.2, 2.2, 0.02, 0.01, 0, 0, 0, 0, 0]])
    poses, stated = lifter.lift_with_errors(keypoints)
    truth = np.array(to_camera(poses, keypoints, cameras[[0] * 5])) + np.float32([0, 0.03, 0])
    truth[:, 0] = [1, 2, 3]
    frames = types.SimpleNamespace(
        keypoints_2d=keypoints,
        joints_3d=truth,
        camera_vectors=cameras,
        camera=np.zeros(5, np.int32),
    )
    got = shipping.understatement(load_checkpoint(POSE26), frames)
    assert got == pytest.approx(0.03 / stated[:, 1:].mean(), rel=1e-4)


def test_figures_meet_what_the_weights_promise(figures):
    rows, rule = figures["layouts"], figures["rule"]["random noisy"]
    assert rows["coco17"]["random noisy"] <= 1.1 * rows["halpe26"]["random noisy"]
    assert rule["this, coco17"] < rule["16 joints, coco17 by rule"]
    legs = figures["occlusion"]["legs (knees and below)"]
    assert legs["visible"] <= 1.15 * legs["visible, nothing hidden"]


@pytest.mark.parametrize(("view", "own"), [(0, (73.8, 100.1)), (1, (83.1, 120.0))])
def test_real_video_is_lifted_better_than_by_mediapipe(lifter, mocap, view, own):
    """`own` are PA-MPJPE and N-MPJPE of MediaPipe's own 3D, in mm, over the same frames."""
    stored = np.load(mocap / "video_reference/balance_views_0_2.npz")
    names = [str(name) for name in stored["names"]]
    rows = [names.index(name) for name in LIMBS]
    target = (stored["world"][:, rows] - stored["C"][view]) @ stored["R"][view].T
    agree = np.nanmedian(stored["reprojection"][:, :, rows], axis=(0, 2)) < 25  # pixels
    good = agree & np.isfinite(target).all(axis=(1, 2))
    frames = len(target)
    detections = Detections(
        keypoints=stored["keypoints"][view].astype(np.float32),
        confidence=stored["visibility"][view].astype(np.float32),
        frame=np.arange(frames),
        person=np.zeros(frames, np.int64),
        frames=frames,
        layout=LAYOUTS["mediapipe33"],
        source="video",
    )
    size = tuple(int(side) for side in stored["size"][view])
    detections = dataclasses.replace(detections, image_size=size)
    lifted = lift_recording(lifter, detections, settings=LiftSettings())
    poses = lifted.poses[:, [lifted.joints.index(name) for name in LIMBS]]
    centered = [
        (points - points[:, [0, 6]].mean(axis=1, keepdims=True))[good].astype(np.float32)
        for points in (poses, target)
    ]
    errors = (float(1000 * f(*centered).mean()) for f in (metrics.pa_mpjpe, metrics.n_mpjpe))
    for error, theirs in zip(errors, own, strict=True):
        assert error < theirs


def test_a_recording_is_lifted_as_the_lifter_lifts_its_frames(lifter, rng):
    points = rng.uniform((900, 300), (1100, 900), size=(4, 17, 2)).astype(np.float32)
    detections = Detections(
        keypoints=points,
        confidence=np.ones((4, 17), np.float32),
        frame=np.arange(4),
        person=np.zeros(4, np.int64),
        frames=4,
        layout=LAYOUTS["coco17"],
        image_size=(1280, 960),
    )
    for fov in (None, 90.0):
        lifted = lift_recording(lifter, detections, settings=LiftSettings(fov=fov)).poses
        wanted = lifter(points, image_size=(1280, 960), layout="coco17", fov=fov)
        np.testing.assert_allclose(lifted, wanted, atol=1e-6)
