"""Networks in the frame of the person are trained and measured along the axes of the camera."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rsnet_jax.config import Config, RSNetConfig
from rsnet_jax.data.batches import Batch
from rsnet_jax.evaluation.predict import make_predict_step
from rsnet_jax.models.build import build_model, init_variables
from rsnet_jax.models.person_frame import to_camera
from rsnet_jax.pose.transforms import recenter
from rsnet_jax.training.step import TrainState, fresh_sums, make_train_step

CONFIG = Config(model=RSNetConfig(width=4, blocks=1, dropout=0.0, person_frame=True))


@pytest.fixture
def batch(rng):
    cameras = np.zeros((6, 9), np.float32)
    cameras[:, :4] = [2.0, 2.0, 0.0, 0.0]
    return Batch(
        keypoints_2d=(0.5 + rng.uniform(-0.3, 0.3, size=(6, 16, 2))).astype(np.float32),
        joints_3d=rng.normal(size=(6, 16, 3)).astype(np.float32),
        cameras=cameras,
    )


def test_evaluation_turns_what_the_network_says(batch):
    model, variables = build_model(CONFIG), init_variables(CONFIG)
    step = make_predict_step(model, None, flip_test=False)
    found = step(variables, None, batch, jax.random.key(0))["lifted"]
    straight = model.apply(variables, batch.keypoints_2d)
    wanted = recenter(to_camera(straight, batch.keypoints_2d, batch.cameras))
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert np.abs(np.asarray(found - recenter(straight))).max() > 1e-3


def test_training_measures_turned_poses(batch):
    model, variables = build_model(CONFIG), init_variables(CONFIG)
    optimizer = optax.sgd(0.0)
    params = {"network": variables["params"]}
    state = TrainState(
        step=jnp.int32(0),
        params=params,
        batch_stats=variables["batch_stats"],
        opt_state=optimizer.init(params),
        sums=fresh_sums(),
    )
    after = make_train_step(model, None, optimizer)(state, batch, jax.random.key(0))
    pose, _ = model.apply(variables, batch.keypoints_2d, train=True, mutable=["batch_stats"])
    target = batch.joints_3d.copy()
    target[:, 0] = 0
    turned = np.asarray(to_camera(pose, batch.keypoints_2d, batch.cameras))
    error = np.linalg.norm(turned - target, axis=-1).mean()
    np.testing.assert_allclose(after.sums["mpjpe"], error, rtol=1e-5)
