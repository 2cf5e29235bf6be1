from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from rsnet_jax.config import LossName
from rsnet_jax.pose import metrics
from rsnet_jax.pose.skeleton import H36M_16
from rsnet_jax.training import losses


@pytest.fixture
def poses(golden):
    return dict(np.load(golden / "rsnet/metrics.npz"))


def test_metrics_match_the_released_ones(poses):
    pose, target = poses["pred"], poses["target"]
    np.testing.assert_allclose(
        metrics.mpjpe(pose, target).mean(), poses["mpjpe"], rtol=0, atol=1e-5
    )
    np.testing.assert_allclose(metrics.pa_mpjpe(pose, target), poses["p_mpjpe"], rtol=0, atol=1e-5)


def test_lifting_losses_by_hand():
    target = jnp.zeros((1, 2, 3))
    pose = target.at[0, 1].set(jnp.array([3.0, 0.0, -4.0]))
    squared, absolute, distance = 25 / 6, 7 / 6, 5 / 2
    want = {
        "mse": squared,
        "mse_l1": 0.9 * squared + 0.1 * absolute,
        "mpjpe_l1": 0.99 * distance + 0.01 * absolute,
    }
    assert set(want) == set(losses.LIFTING_LOSSES) == set(get_args(LossName))
    for name, value in want.items():
        np.testing.assert_allclose(losses.LIFTING_LOSSES[name](pose, target), value, rtol=1e-6)


def test_losses_match_the_released_ones(poses):
    pose, target = poses["pred"], poses["target"]
    want = 0.9 * poses["mse"] + 0.1 * poses["l1"]
    np.testing.assert_allclose(losses.mse_l1(pose, target), want, rtol=0, atol=1e-5)
    penalty = losses.symmetry_penalty(pose, skeleton=H36M_16)
    np.testing.assert_allclose(penalty, poses["sym_penalty_hr"], rtol=0, atol=1e-5)
    assert penalty < 0
    want = poses["mpjpe"] + 0.01 * poses["sym_penalty_hr"]
    got = losses.refinement_loss(pose, target, skeleton=H36M_16)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


def test_absolute_symmetry_penalty_by_hand():
    pose = np.zeros((2, 16, 3), np.float32)
    pose[0, 4, 0] = 0.3  # left hip 0.3 from the pelvis, right hip 0; the left thigh is 0.3 long too
    pose[1, 1, 1] = -0.2
    signed = losses.symmetry_penalty(pose, skeleton=H36M_16)
    absolute = losses.symmetry_penalty(pose, skeleton=H36M_16, absolute=True)
    np.testing.assert_allclose(signed, (0.6 - 0.4) / 2, atol=1e-6)
    np.testing.assert_allclose(absolute, (0.6 + 0.4) / 2, atol=1e-6)


def test_mpjpe_by_hand():
    target = np.zeros((1, 2, 3), np.float32)
    pose = np.array([[[3, 4, 0], [0, 0, 2]]], np.float32)
    np.testing.assert_allclose(metrics.mpjpe(pose, target), [3.5])


def test_zero_error_has_zero_gradient():
    pose = jnp.ones((2, 3, 3))
    grad = jax.grad(lambda p: metrics.mpjpe(p, jnp.ones((2, 3, 3))).sum())(pose)
    np.testing.assert_array_equal(grad, 0)


def random_poses(rng, count=6, joints=7):
    return rng.normal(size=(2, count, joints, 3)).astype(np.float32)


def test_alignment_agrees_with_scipy(rng):
    pose, target = random_poses(rng)
    aligned = metrics.procrustes_align(pose, target)
    for got, p, t in zip(aligned, pose, target, strict=True):
        _, want, _ = procrustes(t, p)  # in units of the centered target; reflections allowed
        scale = np.linalg.norm(t - t.mean(axis=0))
        reflected = np.linalg.det((p - p.mean(0)).T @ (t - t.mean(0))) < 0
        if not reflected:
            np.testing.assert_allclose(got, want * scale + t.mean(axis=0), atol=1e-5)
        else:
            assert np.linalg.norm(got - t) > np.linalg.norm(want * scale + t.mean(axis=0) - t)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_alignment_undoes_turning_moving_and_scaling(rng, scale):
    target = random_poses(rng)[0]
    turns = Rotation.random(len(target), random_state=1).as_matrix()
    pose = scale * (np.einsum("bij,bkj->bki", turns, target) + np.array([3.0, -2.0, 1.0]))
    errors = metrics.pa_mpjpe(pose.astype(np.float32), target)
    np.testing.assert_allclose(errors, 0, atol=1e-5)


def test_alignment_never_reflects(rng):
    target = random_poses(rng)[0]
    mirrored = target * np.array([-1, 1, 1], np.float32)
    assert (np.asarray(metrics.pa_mpjpe(mirrored, target)) > 0.05).all()


def test_a_collapsed_pose_lands_on_the_centroid(rng):
    target = random_poses(rng)[0]
    want = np.linalg.norm(target - target.mean(axis=1, keepdims=True), axis=-1).mean(axis=-1)
    errors = metrics.pa_mpjpe(np.ones_like(target), target)
    np.testing.assert_allclose(errors, want, rtol=1e-5)


def test_n_mpjpe_is_the_least_squares_scale(rng):
    pose, target = random_poses(rng)
    for got, p, t in zip(metrics.n_mpjpe(pose, target), pose, target, strict=True):
        scale = np.linalg.lstsq(p.reshape(-1, 1), t.ravel(), rcond=None)[0][0]
        np.testing.assert_allclose(got, np.linalg.norm(scale * p - t, axis=-1).mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics.n_mpjpe(5 * target, target), 0, atol=1e-5)
    flat = np.zeros_like(target)
    np.testing.assert_allclose(
        metrics.n_mpjpe(flat, target), np.linalg.norm(target, axis=-1).mean(axis=-1), rtol=1e-5
    )


def test_degenerate_poses_by_hand(rng):
    target = np.repeat(random_poses(rng)[0][:1], 7, axis=0)
    target -= target.mean(axis=1, keepdims=True)
    along = np.linspace(-1, 1, target.shape[1])[:, None] * np.array([1.0, 2.0, -0.5])
    shake = rng.normal(0, 1, target.shape[1:])
    poses = np.stack(
        [
            target[0],
            target[0] * (-1, 1, 1),  # mirrored
            np.full(target.shape[1:], 3.0),  # a point
            0.0005 * shake,  # within 1 mm
            along,  # a line
            along + 0.003 * shake,  # nearly a line
            along + 0.3 * shake,  # not a line
        ]
    ).astype(np.float32)
    found = {
        kind: np.flatnonzero(flag).tolist()
        for kind, flag in metrics.degenerate(poses, target.astype(np.float32)).items()
    }
    found["mirrored"] = [number for number in found["mirrored"] if number < 6]
    assert found == {"point": [2, 3], "line": [4, 5], "mirrored": [1]}


def test_a_flat_pose_is_its_own_mirror_image(rng):
    """In a plane, turning it over does what mirroring does."""
    target = random_poses(rng)[0] * (1, 1, 0)
    flags = metrics.degenerate((target * (-1, 1, 1)).astype(np.float32), target.astype(np.float32))
    assert not np.asarray(flags["mirrored"]).any()
