import zipfile

import mocap_files
import numpy as np
import pytest

from rsnet_jax.data.cmu.amc import read_amc
from rsnet_jax.data.cmu.asf import read_asf
from rsnet_jax.data.cmu.bvh import read_bvh
from rsnet_jax.data.cmu.joints import make_body
from rsnet_jax.data.cmu.rigs import PARTS
from rsnet_jax.errors import DataError
from rsnet_jax.pose.skeleton import H36M_16, H36M_17, HALPE_26


def person(frames=({},), **changes):
    asf = read_asf(mocap_files.asf(), source="person.asf")
    motion = read_amc(mocap_files.amc(frames), asf, source="person.amc", rate=120)
    return make_body(motion, unit="m")


def bvh_person(frames=({},), *, unit=None, **changes):
    return make_body(
        read_bvh(mocap_files.bvh(frames, **changes).encode(), source="p.bvh"), unit=unit
    )


def at(body, skeleton=H36M_17, frame=0):
    joints = body.positions(skeleton.joints)[frame]
    return dict(zip(skeleton.joints, joints.tolist(), strict=True))


# forward, left, up; the lowest point of the feet is 0.02 m above the floor
STANDING = {
    "pelvis": (0, 0, 0.9),
    "right_hip": (0, -0.1, 0.9),
    "right_knee": (0, -0.1, 0.5),
    "left_ankle": (0, 0.1, 0.1),
    "spine": (0, 0, 1.1),
    "thorax": (0, 0, 1.4),
    "neck_nose": (0, 0, 1.55),
    "head": (0, 0, 1.7),
    "left_shoulder": (0, 0.2, 1.4),
    "left_elbow": (0, 0.5, 1.4),
    "left_wrist": (0, 0.75, 1.4),
    "right_wrist": (0, -0.75, 1.4),
}


@pytest.mark.parametrize("make", [person, bvh_person])
def test_joints_of_a_standing_person(make):
    got = at(make())
    lift = got["pelvis"][2] - 0.9
    for joint, (x, y, z) in STANDING.items():
        if make is bvh_person and joint.endswith("wrist"):
            y -= np.sign(y) * 0.05  # where the wrist bone of ASF begins
        np.testing.assert_allclose(got[joint], (x, y, z + lift), atol=1e-9, err_msg=joint)


@pytest.mark.parametrize("make", [person, bvh_person])
def test_feet_and_face_come_from_the_template(make):
    body = make()
    got = at(body, HALPE_26)
    scale = 0.8 / 0.86  # of thigh and shank
    lift = got["hip"][2] - 0.9
    # from the ankle (0, 0.1, 0.1), the tip of the toes (0.18, 0.1, 0.02), the top of the head
    want = {
        "left_heel": (-0.05 * scale, 0.1, 0.1 - 0.04 * scale),
        "left_big_toe": (0.18, 0.1 - 0.025 * scale, 0.02),
        "right_big_toe": (0.18, -0.1 + 0.025 * scale, 0.02),
        "left_small_toe": (0.12 + 0.025 * scale, 0.1 + 0.035 * scale, 0.02),
        "right_small_toe": (0.12 + 0.025 * scale, -0.1 - 0.035 * scale, 0.02),
        "nose": (0.123 * scale, 0, 1.7 - 0.15 * scale),
        "left_eye": (0.082 * scale, 0.032 * scale, 1.7 - 0.113 * scale),
        "right_ear": (0.005 * scale, -0.073 * scale, 1.7 - 0.13 * scale),
        "neck": (0, 0, 1.4),
    }
    for joint, (x, y, z) in want.items():
        np.testing.assert_allclose(got[joint], (x, y, z + lift), atol=1e-9, err_msg=joint)
    lowest = min(z for _, _, z in got.values())
    assert lowest == pytest.approx(0.02, abs=1e-9) == lift + 0.02


def test_templates_turn_with_head_and_foot():
    # the head turns to the left (about y): nose from forward to left
    got = at(person([{"head": (0, 90, 0)}]), HALPE_26)
    assert got["nose"][1] == pytest.approx(0.123 * 0.8 / 0.86) and abs(got["nose"][0]) < 1e-9
    # the left leg lifts forward by 90 degrees (about -x): the sole looks forward, the toes up
    raised = at(person([{"lfemur": (-90, 0, 0)}]), HALPE_26)
    assert raised["left_ankle"][0] == pytest.approx(0.8)
    assert raised["left_heel"][0] > raised["left_ankle"][0]
    assert raised["left_big_toe"][2] > raised["left_ankle"][2] + 0.15


@pytest.mark.parametrize(
    ("name", "unit"), [("m", 1), ("cm", 0.01), ("mm", 0.001), ("inch", 0.0254)]
)
def test_unit_is_the_one_in_which_legs_are_those_of_a_person(name, unit):
    for given in (None, name):
        got = at(
            bvh_person(unit=given)
            if name == "cm"
            else make_body(
                read_bvh(mocap_files.bvh([{}], unit=unit).encode(), source="p"), unit=given
            )
        )
        assert got["left_hip"][2] - got["left_ankle"][2] == pytest.approx(0.8)
    motion = read_bvh(mocap_files.bvh([{}], unit=0.1).encode(), source="p.bvh")
    with pytest.raises(DataError, match=r"p.bvh: thigh and shank are 8 long together; .* --unit"):
        make_body(motion)


def test_missing_joints_are_named():
    with pytest.raises(DataError, match=r"p.bvh: no joint 'LeftFoot', which a skeleton of CMU in"):
        bvh_person(without=("foot",))
    with pytest.raises(DataError, match=r"no joint 'LeftHand'"):
        bvh_person(without=("wrist",))
    text = mocap_files.bvh([{}]).replace("JOINT Head", "JOINT Skull")
    with pytest.raises(DataError, match=r"'Head', .*\(2 are missing; .*; found: Hips, LHipJoint"):
        make_body(read_bvh(text.encode(), source="p.bvh"))


def test_upside_down_is_caught():
    with pytest.raises(DataError, match=r"the neck is hardly ever above .* -1.35 m .* --up z"):
        at(person([{"root": (0, 0.9, 0, 180, 0, 0)}]))


def test_a_longer_body_keeps_its_angles_and_its_feet_on_the_floor():
    walked = person(mocap_files.walk(30))
    factors = np.ones(len(PARTS))
    factors[[PARTS.index("thighs"), PARTS.index("shanks")]] = 1.1
    factors[PARTS.index("forearms")] = 0.5
    longer = walked.scaled(factors)
    before, after = (body.positions(HALPE_26.joints) for body in (walked, longer))
    lengths = {}
    for name, joints in (("before", before), ("after", after)):
        for child, parent in HALPE_26.bones:
            size = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
            np.testing.assert_allclose(size, size[0], rtol=1e-6)
            lengths[name, HALPE_26.joints[child]] = size[0]
    for joint, factor in (
        *(("left_knee", 1.1), ("right_ankle", 1.1), ("left_wrist", 0.6), ("right_elbow", 1)),
        *(("head", 1), ("left_hip", 1), ("right_shoulder", 1)),
    ):
        # the wrist hangs on radius (0.2, halved) and wrist bone (0.05, halved as part of it)
        factor = 0.5 if joint == "left_wrist" else factor
        assert lengths["after", joint] == pytest.approx(factor * lengths["before", joint]), joint
    travel = [joints[-1, 0, 0] - joints[0, 0, 0] for joints in (before, after)]
    assert travel[1] == pytest.approx(1.1 * travel[0])
    assert after.min(axis=(0, 1))[2] == pytest.approx(0.02, abs=0.01)


@pytest.mark.parametrize("name", ["02_01", "02_03"])
def test_h36m_joints_of_recorded_takes(mocap, name):
    folder = mocap / "cmu_asfamc"
    asf = read_asf((folder / "02.asf").read_text(), source="02.asf")
    motion = read_amc((folder / f"{name}.amc").read_text(), asf, source=name, rate=120)
    expected = np.load(folder / f"{name}_expected.npz")
    got = make_body(motion, unit="m").positions(H36M_17.joints)[expected["frames"]]
    shift = got[0, 0] - expected["joints17"][0, 0]
    np.testing.assert_allclose(shift[:2], 0, atol=1e-4)  # the floor alone is ours
    np.testing.assert_allclose(got - shift, expected["joints17"], rtol=0, atol=1e-4)


def test_avatar_of_recorded_takes(mocap):
    with zipfile.ZipFile(mocap / "cmu_bvh" / "006.zip") as archive:
        body = make_body(read_bvh(archive.read("006/006_05.bvh"), source="006_05.bvh"))
    assert body.leg == pytest.approx(0.975, abs=0.002)  # 47.7 + 49.8 cm
    joints = body.positions(HALPE_26.joints)
    at = {name: joints[:, index] for index, name in enumerate(HALPE_26.joints)}
    height = np.median(at["head"][:, 2] - 0.5 * (at["left_heel"] + at["right_heel"])[:, 2])
    assert 1.5 < height < 1.85  # bent over the ball
    assert 0 <= np.median(joints[..., 2].min(axis=1)) < 0.08
    left = at["left_hip"] - at["right_hip"]
    forward = np.cross(left, [0, 0, 1.0])
    for ahead, behind in (("nose", "neck"), ("left_big_toe", "left_heel")):
        assert np.mean(np.sum((at[ahead] - at[behind]) * forward, axis=-1) > 0) > 0.9
    assert np.all(np.linalg.norm(at["left_ear"] - at["right_ear"], axis=-1) > 0.12)
    assert set(H36M_16.joints) <= set(body.joints)
