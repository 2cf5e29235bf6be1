import jax
import numpy as np
import pytest

from rsnet_jax.config import Config, ModelConfig
from rsnet_jax.skeleton import H36M_16
from rsnet_jax.steps import lift, mirror
from rsnet_jax.weights import build_model, init_variables

CONFIG = Config(model=ModelConfig(width=6, blocks=1))


@pytest.fixture(scope="module")
def network():
    return build_model(CONFIG), init_variables(CONFIG)


def test_mirror_by_hand(rng):
    pose = rng.normal(size=(2, 16, 3)).astype(np.float32)
    got = np.asarray(mirror(pose, H36M_16))
    left, right = H36M_16.joints.index("left_wrist"), H36M_16.joints.index("right_wrist")
    np.testing.assert_array_equal(got[:, left], pose[:, right] * [-1, 1, 1])
    np.testing.assert_array_equal(got[:, right], pose[:, left] * [-1, 1, 1])
    np.testing.assert_array_equal(got[:, 8], pose[:, 8] * [-1, 1, 1])
    np.testing.assert_array_equal(mirror(got, H36M_16), pose)


def test_flip_test_makes_the_network_symmetric(rng, network):
    model, variables = network
    keypoints = rng.normal(size=(3, 16, 2)).astype(np.float32)
    run = jax.jit(lambda x: lift(model, variables, x, flip_test=True))
    mirrored = run(np.asarray(mirror(keypoints, H36M_16)))
    np.testing.assert_allclose(mirror(run(keypoints), H36M_16), mirrored, rtol=0, atol=1e-5)
    plain = model.apply(variables, keypoints)
    again = mirror(model.apply(variables, mirror(keypoints, H36M_16)), H36M_16)
    np.testing.assert_allclose(run(keypoints), (plain + again) / 2, rtol=0, atol=1e-5)
    assert np.abs(np.asarray(plain - again)).max() > 1e-2  # the network alone is not
