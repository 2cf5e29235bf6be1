import numpy as np
import pytest

from rsnet_jax.errors import DataError
from rsnet_jax.lifting.inputs import fill_missing, joints_for, layout_for
from rsnet_jax.pose.layouts import COCO_17, MPII_16
from rsnet_jax.pose.skeleton import H36M_16, H36M_17, Skeleton


def test_layouts_of_skeletons_are_found():
    assert layout_for(H36M_16).name == "h36m16"
    other = Skeleton("two", ("hip", "toe"), (-1, 0), (), ())
    assert layout_for(other).joints == ("hip", "toe")


def test_joints_that_a_layout_does_not_give_are_named():
    points, scores = np.ones((2, 16, 2), np.float32), np.ones((2, 16), np.float32)
    with pytest.raises(DataError, match="MPII do not give head, which these weights need"):
        joints_for(points, scores, layout=MPII_16, skeleton=H36M_16, rule="eyes")
    points, scores = joints_for(points, scores, layout=MPII_16, skeleton=H36M_17)
    assert (points.shape, scores.shape) == ((2, 17, 2), (2, 17))
    assert points.dtype == scores.dtype == np.float32


def test_missing_joints_are_put_on_their_parents():
    points = np.arange(32, dtype=np.float32).reshape(1, 16, 2)
    wanted = points.copy()
    for name in ("left_elbow", "left_wrist"):
        place = H36M_16.joints.index(name)
        points[0, place] = np.nan
        wanted[0, place] = wanted[0, H36M_16.joints.index("left_shoulder")]
    filled, usable = fill_missing(points, H36M_16)
    np.testing.assert_array_equal(filled, wanted)
    assert usable.all()


def test_a_missing_root_is_put_in_the_middle_of_the_rest():
    points = np.arange(32, dtype=np.float32).reshape(1, 16, 2)
    points[0, 0] = np.nan
    filled, _ = fill_missing(points, H36M_16)
    np.testing.assert_allclose(filled[0, 0], points[0, 1:].mean(axis=0))


def test_rows_with_too_few_joints_are_not_lifted():
    points = np.ones((3, 16, 2), np.float32)
    points[1, :8] = np.nan
    points[2, :9] = np.nan
    filled, usable = fill_missing(points, H36M_16)
    assert usable.tolist() == [True, True, False]
    assert np.isfinite(filled).all()
    assert not filled[2].any()


def test_coco_gives_what_the_networks_need():
    points = np.ones((1, 17, 2), np.float32)
    made, _ = joints_for(points, np.ones((1, 17), np.float32), layout=COCO_17, skeleton=H36M_16)
    assert np.isfinite(made).all()
