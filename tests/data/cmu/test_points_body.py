"""Joints of Human3.6M without rotations: where face and feet are put, and other proportions."""

import dataclasses

import numpy as np
import pytest

from rsnet_jax.data.cmu.points_body import FOOT, PointsBody
from rsnet_jax.data.cmu.rigs import PARTS
from rsnet_jax.data.cmu.takes import find_takes
from rsnet_jax.data.cmu.templates import HEAD, LEG
from rsnet_jax.errors import DataError
from rsnet_jax.pose.skeleton import H36M_17, HALPE_26


def standing(*, turn=0.0):
    """A person with straight legs of 0.86 m who looks along +y, or turned to the left of it."""
    middle = {"pelvis": 0.95, "spine": 1.2, "thorax": 1.45, "neck_nose": 1.55, "head": 1.75}
    points = np.zeros((17, 3))
    for place, joint in enumerate(H36M_17.joints):
        side, _, part = joint.partition("_")
        if joint in middle:
            points[place] = 0, 0, middle[joint]
            continue
        x = {"hip": 0.1, "knee": 0.1, "ankle": 0.1, "shoulder": 0.2, "elbow": 0.2, "wrist": 0.2}
        z = {"hip": 0.95, "knee": 0.52, "ankle": 0.09, "shoulder": 1.4, "elbow": 1.1, "wrist": 0.85}
        points[place] = (-x[part] if side == "left" else x[part]), 0, z[part]
    c, s = np.cos(turn), np.sin(turn)
    return points @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def at(body, joint):
    return body.positions([joint])[0, 0]


def test_face_and_feet_of_a_standing_person():
    """Left is -x, forward is +y; the leg is as long as that of the templates."""
    body = PointsBody("made up", np.stack([standing()] * 5), 30.0)
    assert body.leg == pytest.approx(LEG)
    left, up, forward = HEAD["left_eye"]
    np.testing.assert_allclose(at(body, "left_eye"), (-left, forward, 1.75 + up), atol=1e-9)
    out, up, forward = FOOT["big_toe"]
    left_toe, right_toe = at(body, "left_big_toe"), at(body, "right_big_toe")
    np.testing.assert_allclose(left_toe, (-0.1 - out, forward, 0.09 + up), atol=1e-9)
    np.testing.assert_allclose(right_toe, (0.1 + out, forward, 0.09 + up), atol=1e-9)
    assert at(body, "right_heel")[1] < 0 < at(body, "right_small_toe")[1]
    np.testing.assert_array_equal(at(body, "hip"), at(body, "pelvis"))
    assert np.isfinite(body.positions(HALPE_26.joints)).all()


def test_they_turn_with_the_person():
    turned = PointsBody("made up", np.stack([standing(turn=np.pi / 2)] * 5), 30.0)
    nose = at(turned, "nose")  # looks along -x
    assert nose[0] < -0.1 and abs(nose[1]) < 1e-9
    assert at(turned, "left_big_toe")[0] < -0.1


def test_a_foot_hangs_from_a_lifted_shank():
    """A shank that is level, behind the knee: the toes point down."""
    points = np.stack([standing()] * 40)
    knee, ankle = (H36M_17.joints.index(f"left_{joint}") for joint in ("knee", "ankle"))
    points[-1, ankle] = points[-1, knee] - (0, 0.43, 0)
    body = PointsBody("made up", points, 30.0)
    toe = body.positions(["left_big_toe"])[-1, 0]
    assert toe[2] < points[-1, ankle, 2] - 0.1


def test_other_lengths():
    body = PointsBody("made up", np.stack([standing()] * 5), 30.0)
    taller = body.scaled(np.full(len(PARTS), 1.1))
    np.testing.assert_allclose(taller.points, 1.1 * body.points, rtol=1e-9)
    longer = body.scaled(np.where(np.array(PARTS) == "shanks", 2.0, 1.0))
    assert longer.leg == pytest.approx(LEG + 0.43)
    shift = at(longer, "left_ankle") - at(longer, "left_knee")
    np.testing.assert_allclose(shift, 2 * (at(body, "left_ankle") - at(body, "left_knee")))
    np.testing.assert_allclose(at(longer, "pelvis"), at(body, "pelvis") * (LEG + 0.43) / LEG)


def test_a_joint_without_a_rule():
    body = PointsBody("a.npz: S1 Walking", np.stack([standing()] * 5), 30.0)
    with pytest.raises(DataError, match=r"^a\.npz: S1 Walking: 17 joints .* no joint left_pinky$"):
        body.positions(["left_pinky"])


def test_clips_of_a_file_are_takes(tmp_path):
    poses = np.stack([standing()] * 3).astype(np.float32)
    wide = np.zeros((3, 32, 3), np.float32)
    wide[:, [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]] = poses
    clips = {"S5": {"Walking 1": wide}, "S1": {"Eating": poses, "Flat": poses[:, :9]}}
    np.savez(tmp_path / "data_3d_h36m.npz", positions_3d=np.array(clips, object))
    takes = {take.name: take for take in find_takes(tmp_path)}
    assert {name: take.performer for name, take in takes.items()} == {
        "S1_Eating": "S1",
        "S1_Flat": "S1",
        "S5_Walking-1": "S5",
    }

    def read(name):
        return takes[name].read(amc_rate=120, npz_rate=30, unit=None, up="y")

    body = read("S5_Walking-1")
    assert body.rate == 30
    np.testing.assert_allclose(body.positions(H36M_17.joints), poses, atol=1e-6)
    with pytest.raises(DataError, match=r"S1 Flat: positions of 17 or 32 joints were wanted, not"):
        read("S1_Flat")


def test_heads_turn_to_the_sides_and_keep_their_size():
    straight = PointsBody("made up", np.stack([standing()] * 300), 30.0)
    turning = dataclasses.replace(straight, turns_head=True)
    names = ["head", "nose", "left_ear", "right_ear"]
    before, after = (body.positions(names) for body in (straight, turning))
    np.testing.assert_allclose(after[:, 0], before[:, 0])
    for one, other in ((0, 1), (2, 3)):
        lengths = [
            np.linalg.norm(points[:, one] - points[:, other], axis=-1) for points in (before, after)
        ]
        np.testing.assert_allclose(*lengths, atol=1e-9)
    across = [points[:, 2] - points[:, 3] for points in (before, after)]
    cosine = (across[0] * across[1]).sum(axis=-1) / (across[0] ** 2).sum(axis=-1)
    largest = np.rad2deg(np.arccos(cosine.clip(-1, 1))).max()
    assert 20 < largest <= 75
    np.testing.assert_array_equal(turning.positions(names), after)  # the same each time
