import numpy as np
import pytest

from rsnet_jax import Lifter, RSNet, load_torch_checkpoint
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.config import Config, SemGCNConfig
from rsnet_jax.errors import DataError
from rsnet_jax.models.build import init_variables
from rsnet_jax.pose.skeleton import H36M_16, H36M_17


@pytest.fixture(scope="module")
def path(golden):
    return golden / "rsnet" / "model_rsnet_3_eva_post_4711.pth"


def test_lifts_what_the_network_lifts(golden, path):
    data = np.load(golden / "rsnet/forward.npz")
    # Undo the scaling of a 1000 x 1002 image by hand.
    pixels = (data["input_2d"] + np.array([1, 1.002], np.float32)) * 500
    lifter = Lifter.load(path, flip_test=False)
    got = lifter(pixels, image_size=(1000, 1002))
    want = data["output_3d"] - data["output_3d"][:, :1]
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-5)  # pixels cost a digit


def test_any_number_of_frames(path, rng):
    lifter = Lifter.load(path)
    pixels = rng.uniform(0, 1000, size=(515, 16, 2)).astype(np.float32)
    whole = lifter(pixels, image_size=(1000, 1000))
    assert whole.shape == (515, 16, 3)
    for count in (0, 1, 3):
        np.testing.assert_allclose(
            lifter(pixels[:count], image_size=(1000, 1000)), whole[:count], rtol=0, atol=1e-5
        )
    assert not whole[:, 0].any()


def test_keypoints_may_have_joints_that_the_poses_lack(rng):
    config = Config(model=SemGCNConfig(width=4, blocks=1))
    variables = init_variables(config, H36M_16, H36M_17)
    checkpoint = Checkpoint(variables, None, config, H36M_16, keypoint_skeleton=H36M_17)
    pixels = rng.uniform(0, 1000, size=(3, 17, 2)).astype(np.float32)
    lifter = Lifter(checkpoint)
    poses = lifter(pixels, image_size=(1000, 1000))
    assert poses.shape == (3, 16, 3)
    # The flip test gives mirror images of each other for mirrored keypoints.
    mirrored = (pixels * [-1, 1] + [1000, 0])[:, H36M_17.mirror]
    image = lifter(mirrored, image_size=(1000, 1000))
    np.testing.assert_allclose(image, (poses * [-1, 1, 1])[:, H36M_16.mirror], rtol=0, atol=1e-5)
    with pytest.raises(DataError, match=r"\(time, 17, 2\) in the order of skeleton h36m_17"):
        lifter(pixels[:, :16], image_size=(1000, 1000))


def test_bad_keypoints_are_named(unchecked_calls, path):
    lifter = Lifter.load(path)
    good = np.zeros((4, 16, 2))
    with pytest.raises(DataError, match=r"must be \(time, 16, 2\).*not \(4, 17, 2\)"):
        lifter(np.zeros((4, 17, 2)), image_size=(10, 10))
    good[2, 12] = np.nan
    with pytest.raises(DataError, match="left_wrist of frame 2 is NaN"):
        lifter(good, image_size=(10, 10))
    with pytest.raises(DataError, match="real numbers, not of type complex128"):
        lifter(np.zeros((4, 16, 2), complex), image_size=(10, 10))
    with pytest.raises(DataError, match="real numbers, not of type <U"):
        lifter(np.full((4, 16, 2), "1"), image_size=(10, 10))
    with pytest.raises(DataError, match="keypoints: .*inhomogeneous"):
        lifter([[1, 2], [3]], image_size=(10, 10))
    with pytest.raises(DataError, match="positive width and height in pixels, not"):
        lifter(np.zeros((4, 16, 2)), image_size=(0, 10))
    for size in ((np.nan, 480), (640,), 640, ("a", 3), (np.inf, 4), None):
        with pytest.raises(DataError, match="positive width and height in pixels, not"):
            lifter(np.zeros((4, 16, 2)), image_size=size)
    for normalized in (np.linspace(-1, 1, 128), np.linspace(0, 1, 128)):
        with pytest.raises(DataError, match="are normalized, or in meters; pixels were wanted"):
            lifter(normalized.reshape(4, 16, 2), image_size=(640, 480))


def test_image_size_that_does_not_fit_the_keypoints_is_warned_of_once(caplog, golden):
    lifter = Lifter.load(golden / "e2e_tiny" / "model_rsnet_2_eva_post_9957.pth")
    points = np.random.default_rng(0).uniform((0, 0), (640, 480), size=(4, 16, 2))
    lifter(points, image_size=(640, 480))
    assert not caplog.records
    for _ in range(2):
        lifter(points, image_size=(480, 640))
    (record,) = caplog.records
    assert "are width and height exchanged (640x480)?" in record.getMessage()


def test_the_documented_way_to_apply_released_weights(golden, path):
    variables = load_torch_checkpoint(path).variables
    data = np.load(golden / "rsnet/forward.npz")
    out = RSNet(width=16, dropout=0.2).apply(variables, data["input_2d"])
    np.testing.assert_allclose(out, data["output_3d"], rtol=0, atol=1e-5)
