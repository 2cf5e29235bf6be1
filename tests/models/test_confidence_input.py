"""Keypoints with confidences: the frame of the person, and expected errors of joints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.published import from_published, to_published
from rsnet_jax.config import Config, RSNetConfig
from rsnet_jax.errors import DataError
from rsnet_jax.models.build import build_model, init_variables
from rsnet_jax.models.flip_test import lift_with_errors
from rsnet_jax.models.person_frame import to_person_frame
from rsnet_jax.pose.skeleton import HALPE_26
from rsnet_jax.pose.transforms import mirror
from rsnet_jax.training.losses import joint_error_loss

CONFIG = Config(
    model=RSNetConfig(width=4, blocks=1, input_channels=3, person_frame=True, joint_errors=True)
)


@pytest.fixture(scope="module")
def network():
    return build_model(CONFIG, HALPE_26), init_variables(CONFIG, HALPE_26)


@pytest.fixture
def keypoints(rng):
    points = rng.normal(size=(3, 26, 3)).astype(np.float32)
    points[..., 2] = 0.5
    points[1, 4:9] = 0  # missing
    return points


def test_person_frame_by_hand():
    points = np.array([[[1, 5, 0.5], [5, 5, 1], [3, 9, 0.1], [70, -4, 0]]], np.float32)
    # mean (3, 19/3) over three points; squares 4 + 4 + 0 and 16/9 + 16/9 + 64/9, together 56/3
    size = np.sqrt(56 / 9)
    want = np.array([[-2, -4 / 3], [2, -4 / 3], [0, 8 / 3], [0, 0]]) / size
    got = np.asarray(to_person_frame(points))
    np.testing.assert_allclose(got[0, :, :2], want, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(got[..., 2], points[..., 2])
    without = np.asarray(to_person_frame(points[:, :3, :2]))
    np.testing.assert_allclose(without, got[:, :3, :2], rtol=1e-6)
    assert np.isfinite(to_person_frame(np.zeros((1, 4, 3), np.float32))).all()


def test_place_and_size_in_the_image_change_nothing(network, keypoints):
    model, variables = network
    moved = np.where(keypoints[..., 2:] > 0, keypoints * (7, 7, 1) + (300, -20, 0), 0)
    for got, want in zip(
        lift_with_errors(model, variables, moved.astype(np.float32), flip_test=True),
        lift_with_errors(model, variables, keypoints, flip_test=True),
        strict=True,
    ):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_pose_and_errors_of_the_mirror_image_are_mirrored(network, keypoints):
    model, variables = network
    pose, errors = lift_with_errors(model, variables, keypoints, flip_test=True)
    flipped, others = lift_with_errors(
        model, variables, np.asarray(mirror(keypoints, HALPE_26)), flip_test=True
    )
    np.testing.assert_allclose(mirror(flipped, HALPE_26), pose, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(others[:, list(HALPE_26.mirror)], errors, rtol=1e-4)
    assert errors.shape == (3, 26) and (errors > 0).all() and np.ptp(errors) > 0.1


def test_networks_without_errors_give_none(keypoints):
    config = Config(model=RSNetConfig(width=4, blocks=1, input_channels=3))
    model, variables = build_model(config, HALPE_26), init_variables(config, HALPE_26)
    assert lift_with_errors(model, variables, keypoints, flip_test=False)[1] is None
    with pytest.raises(DataError, match=r"keypoints must be \(batch, 26, 3\), not \(3, 26, 2\)"):
        model.apply(variables, keypoints[..., :2])


def test_a_joint_is_filled_in_by_its_confidence(network, keypoints):
    """A missing joint and one at the same place that was seen give different poses."""
    model, variables = network
    seen = np.where(keypoints[..., 2:] > 0, keypoints, keypoints + (0, 0, 1)).astype(np.float32)
    assert np.abs(model.apply(variables, seen) - model.apply(variables, keypoints))[1].max() > 0.01


def test_weights_survive_the_published_format(network):
    _, variables = network
    checkpoint = Checkpoint(variables, None, CONFIG, HALPE_26)
    tensors, _ = to_published(checkpoint)
    again = from_published(tensors, source="file", config=CONFIG, skeleton=HALPE_26)
    assert again.config.model == CONFIG.model
    assert jax.tree.all(jax.tree.map(np.array_equal, again.variables, variables))


def test_loss_of_expected_errors_is_least_at_the_mean_error(rng):
    target = np.zeros((4000, 3, 3), np.float32)
    pose = rng.normal(size=target.shape).astype(np.float32) * np.array([9, 1, 2])[:, None]
    mean = np.linalg.norm(pose, axis=-1).mean(axis=0)  # by NumPy

    def loss(log_expected):
        expected = jnp.broadcast_to(jnp.exp(log_expected), (4000, 3))
        return joint_error_loss(expected, pose, target)

    slope = jax.grad(loss)
    np.testing.assert_allclose(slope(jnp.log(mean)), 0, atol=1e-6)
    assert (slope(jnp.log(mean * 1.1))[1:] > 1e-4).all()
    assert slope(jnp.log(mean * 1.1))[0] == 0  # the root joint has no error
