import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from crafted_data import pickled_nested, pickled_tuples, unfolding

from rsnet_jax.errors import DataError
from rsnet_jax.files.safe_npz import load_npz


def poses():
    rng = np.random.default_rng(0)
    return {
        "S1": {"Walking 1": rng.normal(size=(4, 32, 3)).astype(np.float32)},
        "S9": {"Photo": rng.normal(size=(2, 32, 3)).astype(np.float32), "Eating": None},
    }


def save(path, **members):
    np.savez_compressed(path, **members)
    return path


def save_pickled(path, data):
    """A member that declares one object, whose pickle is `data`."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|O", "fortran_order": False, "shape": ()}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("positions_3d.npy", header.getvalue() + data)
    return path


def assert_one_line(error):
    text = str(error.value)
    assert "\n" not in text and text.isprintable() and len(text) < 500


def test_objects_and_plain_arrays(tmp_path):
    ragged = np.empty(2, dtype=object)
    ragged[:] = [np.zeros((2, 3)), np.ones(1)]
    path = save(
        tmp_path / "all.npz",
        positions_3d=np.array(poses(), dtype=object),
        metadata=np.array({"num_joints": 16, "keypoints_symmetry": [[4, 5], [1, 2]]}),
        ragged=ragged,
        plain=np.arange(6.0).reshape(2, 3).T,
        swapped=np.arange(3, dtype=">i4"),
        number=np.float32(2.5),
        names=np.array(["a", "bc"]),
        empty=np.zeros((0, 16, 3), np.float32),
    )
    got = load_npz(path)
    assert got["metadata"] == {"num_joints": 16, "keypoints_symmetry": [[4, 5], [1, 2]]}
    assert isinstance(got["positions_3d"], dict) and got["positions_3d"]["S9"]["Eating"] is None
    want = poses()["S1"]["Walking 1"]
    np.testing.assert_array_equal(got["positions_3d"]["S1"]["Walking 1"], want, strict=True)
    assert got["ragged"].dtype == object and got["ragged"].shape == (2,)
    np.testing.assert_array_equal(got["ragged"][0], np.zeros((2, 3)))
    for name in ("plain", "swapped", "number", "names", "empty"):
        np.testing.assert_array_equal(got[name], np.load(path)[name], strict=True)
    got["plain"][0, 0] = 5  # writable


def test_a_file_of_python_2(tmp_path):
    raw = np.array([1.5, -2]).tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x02t"
    array += b"cnumpy\ndtype\n(U\x02f8K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
    array += b"K\x00tb\x89U\x10" + raw + b"tb"
    holder = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01)"
    holder += (
        b"cnumpy\ndtype\n(U\x02O8K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
    )
    holder += b"K\x3ftb\x89](}U\x02S1" + array + b"setb."
    path = save_pickled(tmp_path / "py2.npz", b"\x80\x02" + holder)
    np.testing.assert_array_equal(load_npz(path)["positions_3d"]["S1"], [1.5, -2])

    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2L,), }"
    header = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + text.ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "long.npz", "w") as archive:
        archive.writestr("a.npy", header + raw)
    np.testing.assert_array_equal(load_npz(tmp_path / "long.npz")["a"], [1.5, -2])


@pytest.mark.parametrize("name", ["data_3d_h36m", "data_2d_h36m_gt", "data_2d_h36m_hr"])
def test_real_files_load_as_numpy_loads_them(name):
    if "RSNET_MOCAP" not in os.environ:
        pytest.skip("RSNET_MOCAP is not set")
    path = Path(os.environ["RSNET_MOCAP"]) / "cmu_mocap_tiny" / f"{name}.npz"
    got, want = load_npz(path), np.load(path, allow_pickle=True)
    assert list(got) == list(want)
    key = next(iter(got))
    assert pickle.dumps(got[key]) == pickle.dumps(want[key].item())


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_code_is_refused_and_not_run(tmp_path):
    marker = tmp_path / "ran"
    content = {"S1": {"Walking": [np.zeros(3), Touch(marker)]}}
    path = save(tmp_path / "evil.npz", positions_3d=np.array(content))
    with pytest.raises(DataError, match=r"evil.npz asks for '\w+.system': refused") as error:
        load_npz(path)
    assert_one_line(error)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["numpy\nload", "numpy\nmemmap", "numpy.ma.core\n_mareconstruct"])
def test_other_parts_of_numpy_are_refused(tmp_path, name):
    path = save_pickled(tmp_path / "evil.npz", b"c" + name.encode() + b"\n(X\x01\x00\x00\x00atR.")
    with pytest.raises(DataError, match=name.replace("\n", ".")):
        load_npz(path)


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path):
    for data in (b"\x8c\x06os\x1b[2J\x8c\x03a\nb\x93.", b"\x8c\x06os\x1b[2J)s."):
        with pytest.raises(DataError) as error:
            load_npz(save_pickled(tmp_path / "evil.npz", data))
        assert_one_line(error)


def test_missing_files_are_answered_with_what_is_there(tmp_path):
    save(tmp_path / "data_2d_h36m_gt.npz", a=np.zeros(1))
    with pytest.raises(DataError, match=r"no file data_2d_h36m_hr.npz.*data_2d_h36m_gt") as error:
        load_npz(tmp_path / "data_2d_h36m_hr.npz")
    assert_one_line(error)
    with pytest.raises(DataError, match="nowhere does not exist"):
        load_npz(tmp_path / "nowhere" / "a.npz")
    with pytest.raises(DataError, match="not a file"):
        load_npz(tmp_path)
    with pytest.raises(DataError):
        load_npz(str(tmp_path) + "/\0.npz")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello, this is a text", "not an .npz file: its 21 bytes begin with b'hello, this is a'"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"PK\x03\x04 and then nothing", "cut short"),
    ],
)
def test_other_files_are_named(tmp_path, content, reason):
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason) as error:
        load_npz(path)
    assert_one_line(error)


@pytest.mark.parametrize(
    ("descr", "shape", "reason"),
    [
        ("<f4", (10**12,), "shorter"),
        ("<f4", (-1,), "shape"),
        ("<f4", (True,), "shape"),
        ([("a", "|O")], (), "structured"),
        ("|O", (2,), "declares"),
    ],
)
def test_headers_that_cannot_be_meant(tmp_path, descr, shape, reason):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    file.write(pickle.dumps(np.array(None, dtype=object)))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", file.getvalue())
    with pytest.raises(DataError, match=reason) as error:
        load_npz(tmp_path / "a.npz")
    assert_one_line(error)


def refusal(path):
    with pytest.raises(DataError) as error:
        load_npz(path)
    assert_one_line(error)
    return str(error.value).removeprefix(f"{path}: ")


def in_array(inner, *, code=b"O8"):
    """The pickle of an object array without axes, given that of the object in it."""
    start = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
    dtype = b"cnumpy\ndtype\n(\x8c\x02" + code + b"\x89\x88tR"
    return b"\x80\x04" + start + b"(K\x01)" + dtype + b"\x89](" + inner.removesuffix(b".") + b"etb."


@pytest.mark.parametrize("pickled", [pickled_nested, pickled_tuples])
@pytest.mark.parametrize("levels", [2000, 100_000])
def test_deep_objects(tmp_path, pickled, levels):
    path = save_pickled(tmp_path / "a.npz", in_array(pickled(levels)))
    assert refusal(path).endswith("nested beyond 20 levels")


def test_objects_that_unfold_to_a_billion(tmp_path):
    path = save(tmp_path / "a.npz", metadata=np.array({"a": unfolding(9)}))
    assert refusal(path) == "more than 300,000 values, counted where they are used"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"num_joints": 10**5000}, "metadata.num_joints: an integer of at most 64 bits"),
        ({10**5000: 1}, "an integer of more than 64 bits as a key"),
        ({(10**5000, 1): 1}, "an integer of more than 64 bits as a key"),
        ({"a": ["S\ud800"]}, "metadata.a[0]: text was wanted"),
        ({"x" * 2_000_000: 1}, "at most 1,000,000 characters were wanted, not 2,000,000"),
    ],
)
def test_numbers_and_texts_that_cannot_be_meant(tmp_path, value, told):
    assert told in refusal(save(tmp_path / "a.npz", metadata=np.array(value)))


@pytest.mark.parametrize("code", [0x110000, 0xFFFFFFFF, 0xD800, 0xDFFF])
@pytest.mark.parametrize("order", ["<", ">"])
def test_text_of_numbers_that_are_no_characters(tmp_path, code, order):
    text = np.array([ord("a"), code], f"{order}u4").view(f"{order}U2")
    for content in (text, np.array({"a": text}), np.array([text[0:1], 1], dtype=object)):
        assert "numbers that are no characters" in refusal(save(tmp_path / "a.npz", a=content))
    good = np.array([ord("a"), 0x10FFFF], f"{order}u4").view(f"{order}U2")
    assert load_npz(save(tmp_path / "a.npz", a=good))["a"][0] == "a\U0010ffff"


def test_an_archive_that_unpacks_to_much_more(tmp_path):
    save(tmp_path / "a.npz", a=np.zeros(2**28 + 2**24, np.uint8))
    assert "bytes would unpack to 285," in refusal(tmp_path / "a.npz")
    save(tmp_path / "b.npz", a=np.zeros(2**24, np.uint8))  # constant arrays may be packed
    assert len(load_npz(tmp_path / "b.npz")["a"]) == 2**24


def test_other_compressions_are_not_those_of_numpy(tmp_path):
    save(tmp_path / "a.npz", a=np.zeros(3))
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        member = archive.read("a.npy")
    for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        with zipfile.ZipFile(tmp_path / "b.npz", "w", method) as archive:
            archive.writestr("a.npy", member)
        assert "an unknown compression" in refusal(tmp_path / "b.npz")


def load_or_refuse(path, data):
    path.write_bytes(data)
    try:
        return load_npz(path)
    except DataError as error:
        assert "\n" not in str(error)
        return None


def test_truncated_and_altered_files_load_or_are_refused(tmp_path):
    np.savez(tmp_path / "ok.npz", positions_3d=np.array(poses()), plain=np.arange(3.0))
    whole = (tmp_path / "ok.npz").read_bytes()
    path = tmp_path / "damaged.npz"
    for length in np.linspace(0, len(whole) - 1, 150).astype(int):
        assert load_or_refuse(path, whole[:length]) is None
    rng = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole)
        for position in rng.integers(len(data), size=rng.integers(1, 4)):
            data[position] ^= 1 << rng.integers(8)
        load_or_refuse(path, data)


def test_altered_pickles_behind_a_right_checksum(tmp_path):
    small = {"S1": {"Walking": np.zeros((2, 3), np.float32)}, "n": [1, (2.5, "x")]}
    whole = pickle.dumps(np.array(small, dtype=object), 4)
    path = tmp_path / "damaged.npz"
    rng = np.random.default_rng(1)
    for _ in range(250):
        data = bytearray(whole)
        for position in rng.integers(len(data), size=rng.integers(1, 3)):
            data[position] = rng.integers(256)
        load_or_refuse(path, save_pickled(path, bytes(data)).read_bytes())
