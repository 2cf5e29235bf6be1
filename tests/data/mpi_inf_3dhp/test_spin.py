import re

import mpi_files
import numpy as np
import pytest

from rsnet_jax.data.mpi_inf_3dhp.spin import read_spin
from rsnet_jax.errors import DataError


@pytest.fixture
def arrays():
    return mpi_files.spin_arrays(mpi_files.make_all())


@pytest.fixture
def read(tmp_path):
    def write_and_read(arrays):
        np.savez(tmp_path / "mpi_inf_3dhp_valid.npz", allow_pickle=True, **arrays)
        return read_spin(tmp_path / "mpi_inf_3dhp_valid.npz")

    return write_and_read


def test_joints_units_and_labels(read, arrays):
    table, sequences = read(arrays), mpi_files.make_all()
    relative = np.concatenate([made.relative for made in sequences])
    normalized = np.concatenate([made.normalized for made in sequences])
    np.testing.assert_allclose(table.pose3d, relative, atol=1e-6)
    np.testing.assert_allclose(table.pose2d, normalized, atol=1e-6)
    assert table.sequences == ("TS1", "TS2", "TS3", "TS4", "TS5", "TS6")
    assert table.sequence.tolist() == [0] * 6 + [1] * 5 + [2] * 4 + [3] * 7 + [4] * 3 + [5] * 2
    assert table.frame[:7].tolist() == [1, 2, 3, 4, 5, 6, 1]
    assert table.scenes == ("gs", "gs", "no_gs", "no_gs", "outdoor", "outdoor")


def test_a_pixel_is_normalized_by_the_width_of_its_sequence(read, arrays):
    """Pixel (480, 270) is (-0.5, -0.28125) at 1920 x 1080; at 2048 x 2048 it is (-0.53, -0.736)."""
    rows = {0: (2 * 480 / 2048 - 1, 2 * 270 / 2048 - 1), 22: (-0.5, -0.28125)}
    for row in rows:
        arrays["part"][row, 14, :2] = 480, 270
    table = read(arrays)
    for row, point in rows.items():
        np.testing.assert_allclose(table.pose2d[row, 0], point)


def test_poses_become_relative_to_the_pelvis(read, arrays):
    want = read(arrays).pose3d
    arrays["S"][..., :3] += 3.0
    np.testing.assert_allclose(read(arrays).pose3d, want, atol=1e-12)


@pytest.mark.parametrize("kind", ["S", "O"])
def test_names_may_be_bytes_or_objects(read, arrays, kind):
    arrays["imgname"] = arrays["imgname"].astype(kind)
    assert read(arrays).frame[5] == 6


BROKEN = {
    "no S": (lambda a: a.pop("S"), r"no 'S' in it; found: imgname, part"),
    "no part": (lambda a: a.pop("part"), r"no 'part' in it; found: S, imgname"),
    "no imgname": (lambda a: a.pop("imgname"), r"no 'imgname' in it; found: S, part"),
    "joints": (
        lambda a: a.update(S=a["S"][:, :17]),
        r"S: shape (N, 24, 4) was wanted, not (27, 17, 4)",
    ),
    "no rows": (
        lambda a: a.update(part=a["part"][:0]),
        "part: shape (N, 24, 3) was wanted, not (0, 24, 3)",
    ),
    "text": (
        lambda a: a.update(S=a["S"].astype(str)),
        "S: numbers of shape (N, 24, 4) were wanted, not type <U32",
    ),
    "rows": (lambda a: a.update(S=a["S"][1:]), "S has 26 rows, where part has 27"),
    "names": (lambda a: a.update(imgname=a["imgname"][1:]), "imgname has 26 rows, where part has"),
    "nan": (
        lambda a: a["S"].__setitem__((4, 18, 1), np.nan),
        "S: row 4, head: a coordinate is not finite",
    ),
    "inf": (
        lambda a: a["part"].__setitem__((9, 6, 0), np.inf),
        "part: row 9, right_wrist: a coordinate is not finite",
    ),
    "joint not given": (
        lambda a: a["S"].__setitem__((3, 16), 0),
        "S: row 3 has no spine",
    ),
    "other image": (
        lambda a: a["imgname"].__setitem__(2, "S1/Seq1/img_000001.jpg"),
        "imgname: row 2: .../TS1/imageSequence/img_000001.jpg or another of TS1 to TS6 was "
        "wanted, not 'S1/Seq1/img_000001.jpg'",
    ),
    "other sequence": (
        lambda a: a["imgname"].__setitem__(2, "TS7/imageSequence/img_000001.jpg"),
        "row 2: .../TS1",
    ),
    "millimeters": (
        lambda a: a["S"].__imul__(1000),
        "S (TS1): meters are wanted, but joints are ",
    ),
    "normalized": (
        lambda a: a["part"].__itruediv__(1024),
        "part: pixels are wanted, but half of the coordinates are below ",
    ),
    "order": (
        lambda a: a.update(S=a["S"][:, ::-1]),
        "S: row 0 has no ",
    ),
    "left and right": (
        lambda a: a["S"].__setitem__((slice(None), [2, 3]), a["S"][:, [3, 2]]),
        "S (TS1): knees bend backward: left and right are exchanged",
    ),
    "2D order": (
        lambda a: a["part"].__setitem__((slice(None), [5, 6]), a["part"][:, [6, 5]]),
        "part (TS1): the 2D keypoints are not images of the 3D joints",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_refused(read, arrays, case):
    change, message = BROKEN[case]
    change(arrays)
    with pytest.raises(DataError, match=re.escape(message)) as raised:
        read(arrays)
    assert "mpi_inf_3dhp_valid.npz" in str(raised.value)
