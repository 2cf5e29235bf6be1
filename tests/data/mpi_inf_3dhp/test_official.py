import re

import mpi_files
import numpy as np
import pytest

from rsnet_jax.data.mpi_inf_3dhp.official import read_official
from rsnet_jax.errors import DataError


@pytest.fixture
def sequences():
    return mpi_files.make_all()


@pytest.mark.parametrize("write", [mpi_files.write_v73, mpi_files.write_v5], ids=["v7.3", "v5"])
def test_valid_frames_of_all_sequences(tmp_path, sequences, write):
    table = read_official(mpi_files.write_official(tmp_path, sequences, write=write))
    relative = np.concatenate([made.relative for made in sequences])
    normalized = np.concatenate([made.normalized for made in sequences])
    np.testing.assert_allclose(table.pose3d, relative, atol=1e-9)
    np.testing.assert_allclose(table.pose2d, normalized, atol=1e-9)
    assert table.sequences == ("TS1", "TS2", "TS3", "TS4", "TS5", "TS6")
    assert table.sequence.tolist() == [0] * 6 + [1] * 5 + [2] * 4 + [3] * 7 + [4] * 3 + [5] * 2
    # The first two frames are not valid, and images are counted from 1.
    assert table.frame[:7].tolist() == [3, 4, 5, 6, 7, 8, 3]


def test_the_folder_around_and_the_actual_people(tmp_path, sequences):
    mpi_files.write_official(tmp_path / "mpi_inf_3dhp_test_set", sequences)
    universal = read_official(tmp_path)
    actual = read_official(tmp_path, annotation="annot3")
    np.testing.assert_allclose(actual.pose3d, 1.1 * universal.pose3d, atol=1e-9)
    np.testing.assert_array_equal(actual.pose2d, universal.pose2d)


def test_version_5_with_the_axes_of_python(tmp_path, sequences):
    """As SciPy writes the arrays of h5py: (N, 1, 17, 2) for MATLAB, too."""
    mpi_files.write_official(tmp_path, sequences)
    want = read_official(tmp_path)
    arrays = {name: array.T for name, array in mpi_files.annotations(sequences[0]).items()}
    mpi_files.write_v5(tmp_path / "TS1" / "annot_data.mat", arrays)
    np.testing.assert_allclose(read_official(tmp_path).pose3d, want.pose3d, atol=1e-9)


def test_missing_sequences_are_named(tmp_path, sequences):
    mpi_files.write_official(tmp_path, sequences[:4])
    with pytest.raises(DataError, match=r"no TS5/annot_data\.mat, TS6/annot_data\.mat; the test"):
        read_official(tmp_path)


def order_of_h36m(arrays):
    """The joints in the order of Human3.6M, as other files of the data set have them."""
    for name in ("annot2", "annot3", "univ_annot3"):
        arrays[name] = arrays[name][:, :, [*mpi_files.OFFICIAL[:9], 16, *mpi_files.OFFICIAL[9:]]]


def exchange(*pairs):
    """Exchanges joints of the official order, in 3D and 2D."""

    def change(arrays):
        order = list(range(17))
        for one, other in pairs:
            order[one], order[other] = order[other], order[one]
        for name in ("annot2", "annot3", "univ_annot3"):
            arrays[name] = arrays[name][:, :, order]

    return change


SIDES = ((2, 5), (3, 6), (4, 7), (8, 11), (9, 12), (10, 13))
BROKEN = {
    "no valid_frame": (
        lambda a: a.pop("valid_frame"),
        "no 'valid_frame' in it; found: annot2, annot3, univ_annot3",
    ),
    "no poses": (
        lambda a: a.pop("univ_annot3"),
        "no 'univ_annot3' in it; found: annot2, annot3, valid_frame",
    ),
    "none valid": (lambda a: a["valid_frame"].__imul__(0), "valid_frame: no frame is valid"),
    "other flags": (
        lambda a: a["valid_frame"].__imul__(2),
        "valid_frame: 0 or 1 was wanted, not 2",
    ),
    "frames": (
        lambda a: a.update(valid_frame=a["valid_frame"][1:]),
        "valid_frame has 6 rows, where annot2 has 7",
    ),
    "joints": (
        lambda a: a.update(annot2=a["annot2"][:, :, :16]),
        "annot2: shape (N, 1, 17, 2) was wanted, not (7, 1, 16, 2)",
    ),
    "axes": (
        lambda a: a.update(univ_annot3=a["univ_annot3"][:, 0]),
        "univ_annot3: shape (N, 1, 17, 3) was wanted, not (7, 17, 3)",
    ),
    "nan": (
        lambda a: a["univ_annot3"].__setitem__((4, 0, 15), np.nan),
        "univ_annot3: row 4, spine: a coordinate is not finite",
    ),
    "meters": (
        lambda a: a["univ_annot3"].__itruediv__(1000),
        "univ_annot3 (TS2): millimeters are wanted, but joints are 0.4",
    ),
    "normalized": (
        lambda a: a["annot2"].__itruediv__(1024),
        "annot2: pixels are wanted",
    ),
    "order of Human3.6M": (
        order_of_h36m,
        "univ_annot3 (TS2): joints in another order, or scaled? right leg and trunk together",
    ),
    "head for head top": (exchange((0, 1)), "joints in another order, or scaled? "),
    "arms for legs": (
        exchange(*((joint, joint + 6) for joint in range(2, 8))),
        "joints in another order, or scaled? ",
    ),
    "left for right": (exchange(*SIDES), "univ_annot3 (TS2): knees bend backward"),
    "left for right in 2D": (
        lambda a: a.update(
            annot2=mpi_files.annotations(mpi_files.make("TS2", 5, seed=9))["annot2"]
        ),
        "annot2 (TS2): the 2D keypoints are not images of the 3D joints",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("write", [mpi_files.write_v73, mpi_files.write_v5], ids=["v7.3", "v5"])
def test_broken_files_are_refused(tmp_path, sequences, case, write):
    change, message = BROKEN[case]
    mpi_files.write_official(tmp_path, sequences)
    arrays = mpi_files.annotations(sequences[1])
    change(arrays)
    path = tmp_path / "TS2" / "annot_data.mat"
    write(path, arrays)
    with pytest.raises(DataError, match=re.escape(message)) as raised:
        read_official(tmp_path)
    assert str(raised.value).startswith(f"{path}: ")
