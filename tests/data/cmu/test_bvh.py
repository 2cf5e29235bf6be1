import zipfile
from pathlib import Path

import mocap_files
import numpy as np
import pytest

from rsnet_jax.data.cmu.bvh import read_bvh
from rsnet_jax.data.cmu.motion import node_positions, z_up
from rsnet_jax.errors import DataError

pybvh = pytest.importorskip("pybvh")

ARM = """HIERARCHY
ROOT shoulder
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT elbow
  {
    OFFSET 2 0 0
    CHANNELS 3 Zrotation Yrotation Xrotation
    End Site
    {
      OFFSET 1 0 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.016667
0 0 0 0 0 0 0 90 0
1 2 3 90 0 0 0 90 0
"""


def test_arm_turned_by_right_angles():
    motion = read_bvh(ARM.encode(), source="arm.bvh")
    assert motion.nodes == ("shoulder", "elbow", "EndSiteelbow")
    assert motion.rate == pytest.approx(60)
    want = [
        [(0, 0, 0), (2, 0, 0), (2, 0, -1)],  # about y: x -> -z
        [(1, 2, 3), (1, 4, 3), (1, 4, 2)],  # about z: x -> y
    ]
    np.testing.assert_allclose(node_positions(motion), want, atol=1e-12)


def test_channels_multiply_in_the_order_of_the_file():
    # R = Rz Ry Rx: about x first, y -> z, then about y, z -> x, then about z, x -> y
    text = ARM.replace("OFFSET 2 0 0", "OFFSET 0 2 0").replace("1 2 3 90 0 0", "0 0 0 90 90 90")
    got = node_positions(read_bvh(text.encode(), source="arm.bvh"))
    np.testing.assert_allclose(got[1, 1], (0, 2, 0), atol=1e-12)
    text = text.replace("Zrotation Yrotation Xrotation", "Xrotation Yrotation Zrotation")
    # R = Rx Ry Rz: about z, y -> -x, about y, -x -> z, about x, z -> -y
    got = node_positions(read_bvh(text.encode(), source="arm.bvh"))
    np.testing.assert_allclose(got[1, 1], (0, -2, 0), atol=1e-12)


def test_axes_turn_to_z_up():
    np.testing.assert_array_equal(z_up(np.array([1.0, 2, 3])), [3, 1, 2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("0 0 0 0 0 0 0 90 0\n", ""), "declares 2 frames but file contains 1"),
        (("1 2 3 90 0 0 0 90 0\n", "1 2 3 90 0 0\n"), "number of columns changed"),
        (("1 2 3 90 0 0 0 90 0", "1 2 3 90 0 0 0 nan 0"), "frame 2: a value of joint elbow is not"),
        (("1 2 3 90", "1 inf 3 90"), "frame 2: a value of joint shoulder is not finite"),
        (("OFFSET 2 0 0", "OFFSET nan 0 0"), "OFFSET number 2 is not finite"),
        (("1 2 3 90", "1 x 3 90"), "could not convert string 'x'"),
        (("OFFSET 2 0 0\n", ""), "joint elbow, at line 6: unexpected token 'End'"),
        (("Frames: 2\n", ""), r"Frame count \(0\)"),
        ((ARM[ARM.index("MOTION") :], ""), r"Frame count \(0\)"),
        ((ARM[ARM.index("0 0 0 0 0 0 0 90") :], ""), "no data"),
        ((ARM, "<html>"), "arm.bvh: No ROOT declaration found$"),
    ],
)
def test_faults(change, message):
    with pytest.raises(DataError, match=message) as raised:
        read_bvh(ARM.replace(*change).encode(), source="005.zip/arm.bvh")
    text = str(raised.value)
    assert text.startswith("005.zip/arm.bvh: ") and "\n" not in text and "/tmp" not in text


def test_recorded_takes_match_the_kinematics_of_pybvh(mocap, tmp_path):
    with zipfile.ZipFile(mocap / "cmu_bvh" / "006.zip") as archive:
        path = archive.extract("006/006_05.bvh", tmp_path)
    want = pybvh.read_bvh_file(path, world_up="+y").node_positions()
    motion = read_bvh(Path(path).read_bytes(), source="006_05.bvh")
    np.testing.assert_allclose(node_positions(motion), want, atol=1e-9)


def test_made_up_person_stands_as_described():
    motion = read_bvh(mocap_files.bvh([{}]).encode(), source="person.bvh")
    at = dict(zip(motion.nodes, node_positions(motion)[0] / 100, strict=True))
    np.testing.assert_allclose(at["LeftUpLeg"], (0.1, 0.9, 0), atol=1e-9)
    np.testing.assert_allclose(at["RightFoot"], (-0.1, 0.1, 0), atol=1e-9)
    np.testing.assert_allclose(at["EndSiteHead"], (0, 1.7, 0), atol=1e-9)
