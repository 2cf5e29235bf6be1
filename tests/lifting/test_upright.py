import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rsnet_jax.lifting.upright import CAMERA_UP, describe_tilt, estimate_height, estimate_up
from rsnet_jax.pose.skeleton import H36M_16


def standing():
    """A person by hand: ankle 0.85 m below the pelvis, head 0.75 m above; y points down."""
    heights = {"ankle": 0.85, "knee": 0.45, "hip": 0, "spine": -0.25, "thorax": -0.5, "head": -0.75}
    heights |= {"shoulder": -0.48, "elbow": -0.2, "wrist": 0.05, "pelvis": 0}
    pose = np.zeros((16, 3))
    for place, joint in enumerate(H36M_16.joints):
        side, _, rest = joint.partition("_")
        pose[place] = (0, heights[rest or joint], 0)
    return pose


def crouching():
    pose = standing()
    for side in ("left", "right"):
        pose[H36M_16.joints.index(f"{side}_knee")] = (0, 0.1, -0.4)
        pose[H36M_16.joints.index(f"{side}_ankle")] = (0.1, 0.3, 0)
    return pose


def test_height_is_the_length_of_the_bones_whatever_the_pose():
    want = 1.055 * (0.85 + 0.75)
    assert estimate_height(standing()[None], H36M_16) == pytest.approx(want)
    gone = np.full((1, 16, 3), np.nan)
    assert np.isnan(estimate_height(gone, H36M_16))
    half = standing()[None]
    half[0, H36M_16.joints.index("left_knee")] = np.nan
    assert estimate_height(half, H36M_16) == pytest.approx(want)


def test_up_is_the_way_people_stand():
    tilt = Rotation.from_euler("xz", (15, -10), degrees=True)
    poses = np.stack([tilt.apply(standing())] * 3 + [crouching()] * 2)
    np.testing.assert_allclose(estimate_up(poses, H36M_16), tilt.apply([0, -1, 0]), atol=1e-6)


def test_up_without_anybody_is_that_of_a_level_camera():
    assert estimate_up(np.full((2, 16, 3), np.nan), H36M_16) == CAMERA_UP
    assert estimate_up(np.zeros((2, 16, 3)), H36M_16) == CAMERA_UP
    only = estimate_up(crouching()[None], H36M_16)
    assert only[1] < -0.9  # still the best that is known


def test_tilt_of_a_camera_by_hand():
    """A camera that looks at the floor has the floor's up against its own forward axis."""
    assert describe_tilt((0.0, -1.0, 0.0)) == "straight ahead"
    assert describe_tilt((0.0, 0.0, -1.0)) == "90 degrees down"
    assert describe_tilt((0.0, -(0.75**0.5), 0.5)) == "30 degrees up"
