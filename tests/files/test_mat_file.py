import sys

import h5py
import numpy as np
import pytest
import scipy.io
from mpi_files import write_v5, write_v73

from rsnet_jax.errors import ConfigError, DataError
from rsnet_jax.files.mat_file import load_mat

ARRAY = np.arange(2 * 3 * 4, dtype=np.float64).reshape(4, 3, 2)


@pytest.fixture(params=[write_v73, write_v5], ids=["v7.3", "v5"])
def write(request):
    return request.param


def test_axes_are_those_of_the_file(tmp_path, write):
    path = tmp_path / "a.mat"
    write(path, {"x": ARRAY, "flag": np.ones((1, 5), np.uint8), "other": ARRAY})
    found = load_mat(path, ["x", "flag"])
    assert set(found) == {"x", "flag"} and found["flag"].shape == (1, 5)
    np.testing.assert_array_equal(found["x"], ARRAY)


def test_version_5_is_read_as_matlab_has_it(tmp_path):
    """zeros(2, 3, 4) of MATLAB, as SciPy writes it."""
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.zeros((2, 3, 4))}, do_compression=True)
    assert load_mat(tmp_path / "a.mat", ["x"])["x"].shape == (4, 3, 2)


def test_hdf5_without_the_block_of_matlab_is_read(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["x"] = ARRAY
    np.testing.assert_array_equal(load_mat(tmp_path / "a.mat", ["x"])["x"], ARRAY)


def test_missing_variables_are_named_with_those_found(tmp_path, write):
    write(tmp_path / "a.mat", {"x": ARRAY, "other": ARRAY})
    with pytest.raises(DataError, match=r"a\.mat: no 'y' in it; found: other, x$|found: x, other$"):
        load_mat(tmp_path / "a.mat", ["x", "y"])


def test_text_is_no_array_of_numbers(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"x": "text"})
    with h5py.File(tmp_path / "b.mat", "w") as file:
        file.create_group("x")
    for name in ("a.mat", "b.mat"):
        with pytest.raises(DataError, match=rf"{name}: x: an array of numbers was wanted"):
            load_mat(tmp_path / name, ["x"])


def test_arrays_that_claim_too_much_are_not_read(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file.create_dataset("x", shape=(10**6, 10**6), dtype="f8", chunks=(1, 100))
    with pytest.raises(DataError, match="x claims 1,000,000,000,000 values"):
        load_mat(tmp_path / "a.mat", ["x"])


def test_damaged_files_are_refused(tmp_path, write):
    path = tmp_path / "a.mat"
    write(path, {"x": np.random.default_rng(0).normal(size=(50, 50))})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"a\.mat is damaged"):
        load_mat(path, ["x"])


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"<!DOCTYPE html>" * 100)
    with pytest.raises(DataError, match=r"a\.mat: not a MATLAB file of version 5, 6, 7 or 7\.3"):
        load_mat(tmp_path / "a.mat", ["x"])
    with pytest.raises(DataError, match=r"b\.mat"):
        load_mat(tmp_path / "b.mat", ["x"])


def test_missing_library_is_named_with_its_remedy(tmp_path, monkeypatch):
    write_v73(tmp_path / "a.mat", {"x": ARRAY})
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(
        ConfigError, match=r"needs h5py, which is not installed: pip install 'rsnet-jax\[data\]'$"
    ):
        load_mat(tmp_path / "a.mat", ["x"])
