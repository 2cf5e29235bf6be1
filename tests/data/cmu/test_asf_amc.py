import mocap_files
import numpy as np
import pytest

from rsnet_jax.data.cmu.amc import read_amc
from rsnet_jax.data.cmu.asf import read_asf, rotation
from rsnet_jax.data.cmu.motion import node_positions
from rsnet_jax.errors import DataError

ARM = """
# an arm of two bones along x
:version 1.10
:name arm
:units
  mass 1.0
  length 0.0254
  angle deg
:documentation
  one unit is one meter
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    id 1
    name upper
    direction 1 0 0
    length 2
    axis 0 0 0 XYZ
    dof rx ry rz
    limits (-10 10)
           (-10 10)
           (-10 10)
  end
  begin
    id 2
    name fore
    direction 1 0 0
    length 1
    axis 0 0 90 XYZ
    dof rx
    limits (-10.0 10.0)
  end
:hierarchy
  begin
    root upper
    upper fore
  end
"""


def ends(amc, asf=ARM):
    """Bone -> where it ends in each frame."""
    motion = read_amc(amc, read_asf(asf, source="arm.asf"), source="arm.amc", rate=120)
    positions = node_positions(motion)
    return {name: positions[:, motion.nodes.index(f"{name}_end")] for name in ("upper", "fore")}


def frame(root="0 0 0 0 0 0", upper="0 0 0", fore="0", start=":DEGREES\n1"):
    return f"{start}\nroot {root}\nupper {upper}\nfore {fore}\n"


def near(got, want):
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


def test_arm_turned_by_right_angles():
    # the forearm's x axis is the world's y axis: x -> -z
    got = ends(frame(fore="90") + frame(upper="0 0 90", fore="90", start="2"))
    near(got["upper"], [[2, 0, 0], [0, 2, 0]])
    near(got["fore"], [[2, 0, -1], [0, 2, -1]])


def test_turns_are_about_fixed_axes_one_after_the_other():
    along_z = ARM.replace("direction 1 0 0\n    length 2", "direction 0 0 1\n    length 2")
    # about x: z -> -y; about y: -y stays. The other way round it would end at x = 2.
    near(ends(frame(upper="90 90 0"), along_z)["upper"], [[0, -2, 0]])
    swapped = along_z.replace("dof rx ry rz", "dof ry rx rz")
    near(ends(frame(upper="90 90 0"), swapped)["upper"], [[2, 0, 0]])


def test_axis_order_of_bones():
    # C = turns by 90 degrees about x, then y: x -> x -> -z. A turn about the bone's x is one about
    # -z: x -> -y.
    asf = ARM.replace("axis 0 0 90 XYZ", "axis 90 90 0 XYZ")
    near(ends(frame(fore="90"), asf)["fore"], [[2, -1, 0]])
    # "axis 90 90 0 YXZ" turns about y, then x: x -> -z -> y. A turn about y: x -> -z.
    asf = ARM.replace("axis 0 0 90 XYZ", "axis 90 90 0 YXZ")
    near(ends(frame(fore="90"), asf)["fore"], [[2, 0, -1]])


def test_root_moves_and_turns_in_any_order_of_its_values():
    got = ends(frame(root="1 2 3 0 0 90"))
    near(got["fore"], [[1, 5, 3]])
    asf = ARM.replace("order TX TY TZ RX RY RZ", "order RZ RX RY TZ TY TX")
    near(ends(frame(root="90 0 0 3 2 1"), asf)["fore"], [[1, 5, 3]])
    asf = ARM.replace("position 0 0 0", "position 10 0 0")
    near(ends(frame(root="1 2 3 0 0 90"), asf)["fore"], [[11, 5, 3]])
    # C turns by 90 degrees about z, so that the root's x axis is the world's y axis
    asf = ARM.replace("orientation 0 0 0", "orientation 0 0 90")
    near(ends(frame(root="0 0 0 90 0 0"), asf)["fore"], [[0, 0, -3]])


def test_units_of_length_and_angle():
    asf = ARM.replace("length 0.0254", "length 0.45")
    near(ends(frame(root="1 0 0 0 0 0"), asf)["fore"], [[4 * 0.0254 / 0.45, 0, 0]])
    quarter = repr(np.pi / 2)
    got = ends(frame(fore=quarter, start=":FULLY-SPECIFIED\n:RADIANS\n1"))
    near(got["fore"], [[2, 0, -1]])
    asf = ARM.replace("angle deg", "angle rad").replace(
        "axis 0 0 90 XYZ", f"axis 0 0 {quarter} XYZ"
    )
    near(ends(frame(fore="90"), asf)["fore"], [[2, 0, -1]])


def test_bones_without_motion_and_limits():
    still = ARM.replace("    dof rx\n    limits (-10.0 10.0)\n", "")
    got = ends("#!OML:ASF\n\n:DEGREES\n7\nroot 0 0 0 0 0 0\nupper 0 0 90\n", still)
    near(got["fore"], [[0, 3, 0]])  # beyond the limit of 10 degrees


def test_only_some_angles():
    asf = ARM.replace("dof rx ry rz", "dof rz")
    near(ends(frame(upper="90"), asf)["upper"], [[0, 2, 0]])


def test_rotation_matches_scipy():
    scipy = pytest.importorskip("scipy.spatial.transform")
    angles = np.random.default_rng(0).uniform(-3, 3, (5, 3))
    want = scipy.Rotation.from_euler("yzx", angles).as_matrix()  # lower case: fixed axes
    near(rotation(angles, "yzx"), want)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("name upper", "name lower"), r"arm.asf, line 17: bone 'lower': it is not in :hierarchy"),
        (
            ("    direction 1 0 0\n    length 2", "    length 2"),
            "line 17: bone 'upper': no direction",
        ),
        (("length 2", "length two"), r"line 21: bone upper: length: 1 finite numbers .* not two"),
        (("length 2", "length nan"), r"line 21: bone upper: length: .* not nan"),
        (
            ("direction 1 0 0\n    length 2", "direction 1 1 0\n    length 2"),
            "length 1 .* not 1.41",
        ),
        (("dof rx\n", "dof rx l\n"), "bone fore: dof: some of rx ry rz were wanted, not rx l"),
        (("axis 0 0 90 XYZ", "axis 0 0 90 XXZ"), "line 33: bone fore: axis: .* not 'xxz'"),
        (("length 0.0254", "length 0"), r"line 7: length: a positive number was wanted, not 0"),
        (("order TX TY TZ", "order TX TY"), "root: order: TX TY TZ RX RY RZ in some order"),
        (("upper fore", "lower fore"), "line 40: hierarchy: unknown parent 'lower'"),
        (("root upper", "root upper upper"), "hierarchy: 'upper' is there twice"),
        (("root upper", "root upper hand"), "no bone 'hand', which is in :hierarchy"),
        ((":hierarchy", ":skeleton2"), "line 37: unknown section ':skeleton2'"),
        ((":units", ":name"), "no section :units"),
        ((ARM[ARM.index("  end\n:hier") :], ""), "no section :hierarchy"),
        (("  end\n:hierarchy", ":hierarchy"), "line 28: a bone without end; the file is cut short"),
    ],
)
def test_faults_of_skeletons(change, message):
    with pytest.raises(DataError, match=message):
        read_asf(ARM.replace(*change), source="arm.asf")


TWO = frame() + frame(start="2")


@pytest.mark.parametrize(
    ("amc", "message"),
    [
        (TWO.removesuffix("fore 0\n"), r"line 8: cut short: frame 2 has 2 of 3 bones"),
        (TWO.removesuffix(" 0\n"), r"line 9, frame 2: bone fore: 1 finite numbers .* not none"),
        (TWO.replace("fore", "hand"), r"line 5: bone 'hand' has no degrees of freedom in arm.asf"),
        (
            frame() + frame(start="2").replace("fore", "hand"),
            "line 9, .*'fore' was wanted, not 'hand",
        ),
        (
            frame() + frame(start="2", fore="nan"),
            r"line 9, frame 2: bone fore: 1 finite .* not nan",
        ),
        (frame() + frame(start="2", fore="x"), r"line 9, frame 2: bone fore: 1 finite .* not x"),
        (frame(upper="0 0"), r"line 4, frame 1: bone upper: 3 finite numbers were wanted, not 0 0"),
        (frame() + frame(start="3"), r"line 6: frame 2 was wanted, not '3'"),
        (frame().replace("upper 0 0 0\n", ""), "line 2: no bone 'upper' in the first frame"),
        (frame().replace("fore 0", "fore 0\nfore 0"), "line 6: bone 'fore' is there twice"),
        (":DEGREES\n", "no frame in it"),
        ("<html>\n", "line 1: the number of the first frame was wanted, not '<html>'"),
    ],
)
def test_faults_of_motions(amc, message):
    with pytest.raises(DataError, match=message) as raised:
        ends(amc)
    assert str(raised.value).startswith("arm.amc") and "\n" not in str(raised.value)


def test_made_up_person_stands_as_described():
    asf = read_asf(mocap_files.asf(), source="person.asf")
    motion = read_amc(mocap_files.amc([{}]), asf, source="person.amc", rate=120)
    at = dict(zip(motion.nodes, node_positions(motion)[0], strict=True))
    near(at["lfemur"], (0.1, 0.9, 0))
    near(at["rtibia_end"], (-0.1, 0.1, 0))
    near(at["head_end"], (0, 1.7, 0))
    near(at["rwrist_end"], (-0.75, 1.4, 0))


@pytest.mark.parametrize("name", ["02_01", "02_03"])
def test_recorded_takes_end_where_expected(mocap, name):
    folder = mocap / "cmu_asfamc"
    asf = read_asf((folder / "02.asf").read_text(), source="02.asf")
    text = (folder / f"{name}.amc").read_text()
    motion = read_amc(text, asf, source=name, rate=120)
    positions = node_positions(motion)
    expected = np.load(folder / f"{name}_expected.npz")
    bones = [key.removeprefix("bone:") for key in expected.files if key.startswith("bone:")]
    assert len(bones) > 25
    for bone in bones:
        node = motion.nodes.index("root" if bone == "root" else f"{bone}_end")
        got = positions[expected["frames"], node]
        np.testing.assert_allclose(got, expected[f"bone:{bone}"], rtol=0, atol=1e-4, err_msg=bone)
