import argparse
import collections
import datetime
import os
import pickle
import warnings
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from crafted_data import nested, pickled_nested, pickled_tuples, unfolding

from rsnet_jax.checkpoints.torch_file import read_state_dict, read_torch_file
from rsnet_jax.errors import CheckpointError

GOLDEN = Path(__file__).parents[1] / "golden" / "rsnet"
ZIP = GOLDEN / "model_rsnet_3_eva_post_4711.pth"
LEGACY = GOLDEN / "model_rsnet_legacy_format.pth"

containers = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def short(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


def write_zip(path, pickled, **records):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        for name, data in records.items():
            archive.writestr("a/" + name.replace("__", "/"), data)
    return path


def write_legacy(path, pickled, keys=(), *storages):
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    data = b"".join(pickle.dumps(part, 2) for part in parts) + pickled
    path.write_bytes(data + pickle.dumps(list(keys), 2) + b"".join(storages))
    return path


def write_pickled(path, content, protocol, *, zipped):
    pickled = pickle.dumps(content, protocol)
    return write_zip(path, pickled) if zipped else write_legacy(path, pickled)


def tensor(
    *,
    dtype="FloatStorage",
    key="0",
    size=6,
    view=b"",
    offset=b"K\x00",
    shape=(2, 3),
    strides=(3, 1),
):
    """The pickled call that makes one tensor; `view` is what follows the size in the id."""
    dims = b"".join(
        b"(" + b"".join(pickle.dumps(n, 2)[2:-1] for n in dim) + b"t" for dim in (shape, strides)
    )
    pid = b"(" + short("storage") + b"ctorch\n" + dtype.encode() + b"\n" + short(key)
    pid += short("cuda:0") + pickle.dumps(size, 2)[2:-1] + view + b"tQ"
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n(" + pid + offset + dims
    return rebuild + b"\x89ccollections\nOrderedDict\n)RtR"


def in_dict(value):
    return b"\x80\x02}" + short("w") + value + b"s."


SIX = np.arange(6, dtype=np.float32)


def write(path, pickled, *, zipped):
    if zipped:
        return write_zip(path, pickled, data__0=SIX.tobytes())
    return write_legacy(path, pickled, ["0"], (6).to_bytes(8, "little"), SIX.tobytes())


def assert_refused(path, match, *, read=read_torch_file):
    with pytest.raises(CheckpointError, match=match) as error:
        read(path)
    text = str(error.value)
    assert "\n" not in text and text.isprintable() and len(text) < 600
    assert path.name in text


def test_golden_containers_hold_the_same():
    first, second = read_state_dict(ZIP), read_state_dict(LEGACY)
    assert list(first) == list(second)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], strict=True)
    assert first["gconv_input.gconv.W"].shape == (8, 2, 16)
    assert first["non_local.W.1.num_batches_tracked"].dtype == np.int64
    for value in first.values():
        assert value.flags.c_contiguous and value.flags.owndata and value.flags.writeable


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.pth")), ids=lambda path: path.name)
def test_golden_files_against_torch(path):
    torch = pytest.importorskip("torch")
    got, want = read_state_dict(path), torch.load(path, weights_only=True)
    assert list(got) == list(want)
    for name in want:
        np.testing.assert_array_equal(got[name], want[name].numpy(), strict=True)


def assert_same(got, want):
    torch = pytest.importorskip("torch")
    if isinstance(want, torch.Tensor):
        assert isinstance(got, np.ndarray)
        assert got.shape == tuple(want.shape)
        assert got.flags.c_contiguous and got.flags.owndata
        if want.dtype == torch.bfloat16:
            assert got.dtype == ml_dtypes.bfloat16
            got, want = got.astype(np.float32), want.float()
        np.testing.assert_array_equal(got, want.detach().cpu().numpy(), strict=True)
    elif isinstance(want, dict):
        assert list(got) == list(want)
        for key in want:
            assert_same(got[key], want[key])
    elif isinstance(want, list | tuple):
        assert type(got) in (list, tuple) and len(got) == len(want)
        for ours, theirs in zip(got, want, strict=True):
            assert_same(ours, theirs)
    else:
        np.testing.assert_array_equal(got, want)
        assert type(got) is type(want)


def tensors(torch):
    torch.manual_seed(0)
    base = torch.randn(4, 5, 6)
    names = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 complex64 complex128"
    return {
        **{name: (10 * base).to(getattr(torch, name)) for name in names.split()},
        "bool": base > 0,
        "transposed": base.permute(2, 0, 1),
        "slice": base[1:3, ::2, 1:],
        "shared": base[3],
        "expanded": torch.ones(1, 3).expand(7, 3),
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 3),
        "half slice": base.half()[2, 1:].T,
        "bfloat16 slice": base.bfloat16()[:, 2],
        "parameter": torch.nn.Parameter(base[0].clone()),
        "size": base.shape,
        "storage user": base.flatten()[7:9],
    }


@containers
def test_tensors_of_every_kind(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    want = tensors(torch)
    torch.save(want, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    got = read_torch_file(tmp_path / "a.pth")
    assert_same(got, want)
    assert not any(
        np.shares_memory(got[name], got["shared"]) for name in ("float32", "slice", "transposed")
    )


@containers
def test_unsigned_types_and_bare_storages(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    want = {
        "u16": torch.arange(9).to(torch.uint16)[3:].reshape(2, 3).T,
        "u64": torch.arange(4).to(torch.uint64),
        "u32": torch.tensor(2**32 - 1, dtype=torch.uint32),
    }
    storage = torch.arange(3, dtype=torch.int16).untyped_storage()
    path = tmp_path / "a.pth"
    torch.save(want | {"raw": storage}, path, _use_new_zipfile_serialization=zipped)
    got = read_torch_file(path)
    np.testing.assert_array_equal(got.pop("raw"), [0, 0, 1, 0, 2, 0])
    assert_same(got, want)


@containers
def test_training_checkpoint(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(model.parameters(), amsgrad=True)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
    model(torch.randn(6, 3)).square().sum().backward()
    optimizer.step()
    want = {
        "epoch": 3,
        "error": np.float64(47.04),
        "history": np.arange(3, dtype=np.float32),
        "lr": 1e-3,
        "name": "rsnet",
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "device": "cpu",
    }
    path = tmp_path / "ckpt.pth.tar"
    extra = {"schedule": schedule.state_dict(), "on": torch.device("cuda:1"), "t": torch.float16}
    torch.save(want | extra, path, _use_new_zipfile_serialization=zipped)
    got = read_torch_file(path)
    assert got.pop("schedule")["milestones"] == collections.Counter([3, 5])
    assert got.pop("on") == "cuda:1"
    assert got.pop("t") == np.float16
    assert_same(got, want)
    assert_same(read_state_dict(path), model.state_dict())


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict", "model_pos", None])
@containers
def test_wrappers_and_the_prefix_of_data_parallel(tmp_path, wrapper, zipped):
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(3, 2)
    parallel = {f"module.{name}": value for name, value in model.state_dict().items()}
    content = {wrapper: parallel, "epoch": 1, "best": torch.ones(1)} if wrapper else parallel
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    assert_same(read_state_dict(tmp_path / "a.pt"), dict(model.state_dict()))
    torch.save(parallel | {"x": torch.ones(1)}, tmp_path / "b.pt")
    assert set(read_state_dict(tmp_path / "b.pt")) == {"module.weight", "module.bias", "x"}


@containers
def test_tags_of_devices_that_are_not_here(tmp_path, zipped):
    path = write(tmp_path / "a.pth", in_dict(tensor()), zipped=zipped)
    np.testing.assert_array_equal(read_state_dict(path)["w"], SIX.reshape(2, 3), strict=True)


def test_views_of_the_older_container(tmp_path):
    view = b"(" + short("7") + b"K\x02K\x04t"
    for shape, want in (((4,), [2, 3, 4, 5]), ((5,), None)):
        pickled = in_dict(tensor(view=view, shape=shape, strides=(1,)))
        path = write(tmp_path / "a.pth", pickled, zipped=False)
        if want:
            np.testing.assert_array_equal(read_torch_file(path)["w"], want)
        else:
            assert_refused(path, "leaves its storage")
    far = in_dict(tensor(view=b"(" + short("7") + b"K\x04K\x04t", shape=(1,), strides=(1,)))
    assert_refused(write(tmp_path / "b.pth", far, zipped=False), "leaves its storage")
    senseless = in_dict(tensor(view=b"K\x01"))
    assert_refused(write(tmp_path / "c.pth", senseless, zipped=False), "damaged")


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("FloatStorage", "f4"), ("BFloat16Storage", "u2"), ("ComplexFloatStorage", "c8")],
)
def test_the_other_byte_order(tmp_path, name, dtype):
    values = np.arange(6).astype(dtype) + 1
    pickled = in_dict(tensor(dtype=name))
    big = values.astype(values.dtype.newbyteorder(">")).tobytes()
    path = write_zip(tmp_path / "a.pth", pickled, data__0=big, byteorder=b"big")
    np.testing.assert_array_equal(read_torch_file(path)["w"].view(dtype).ravel(), values)
    write_zip(path, pickled, data__0=big, byteorder=b"odd")
    assert_refused(path, "byte order")


@pytest.mark.parametrize(
    "hostile",
    [
        {"shape": (2, 4)},
        {"strides": (4, 1)},
        {"offset": b"K\x01"},
        {"offset": b"J\xff\xff\xff\xff"},
        {"strides": (-3, 1)},
        {"strides": (1,)},
        {"shape": (2**62, 4), "strides": (0, 1)},  # the product wraps around in 64 bits
        {"shape": (2, 2), "strides": (2**62, 1)},
        {"shape": (10**12,), "strides": (0,)},
        {"shape": (1,) * 40, "strides": (1,) * 40},
        {"size": 7},
        {"size": -1},
        {"size": 2**61},
        {"key": "1"},
        {"dtype": "DoubleStorage"},
        {"dtype": "Size"},
        {"dtype": "float31"},
        {"view": b"NN"},
    ],
    ids=str,
)
@containers
def test_tensors_outside_their_storage(tmp_path, hostile, zipped):
    path = write(tmp_path / "a.pth", in_dict(tensor(**hostile)), zipped=zipped)
    assert_refused(path, "damaged|asks for")


# An array whose length says nothing about its data: one million rows of no columns.
HOLLOW = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
HOLLOW_STATE = (
    b"(K\x01J\x00\x00\x0f\x00K\x00\x86cnumpy\ndtype\n" + short("f8") + b"\x85R\x89C\x00tb"
)


@containers
def test_arrays_do_not_pass_for_storages(tmp_path, zipped):
    path = write_zip(tmp_path / "a.pth", in_dict(HOLLOW + HOLLOW_STATE))
    assert read_torch_file(path)["w"].shape == (983040, 0)
    call = tensor(shape=(100_000,), strides=(1,))
    storage = call.split(b"_rebuild_tensor_v2\n(")[1].split(b"Q")[0] + b"Q"
    for made in (storage + b"0" + HOLLOW + HOLLOW_STATE, storage + HOLLOW_STATE):
        pickled = in_dict(call.replace(storage, made))
        path = write(tmp_path / "a.pth", pickled, zipped=zipped)
        assert_refused(path, "asks for setting the state|without a storage")


def test_many_small_claims_on_memory_are_added_up(tmp_path):
    big = tensor(shape=(2**24,), strides=(0,)) + b"0"
    path = write(tmp_path / "a.pth", b"\x80\x02" + big * 100 + b"}.", zipped=True)
    assert_refused(path, "much larger than the file")


class Call:
    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


@containers
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_is_refused_and_not_run(tmp_path, zipped, protocol):
    marker = tmp_path / "ran"
    for call in (
        Call(os.system, f"touch {marker}"),
        Call(eval, f"open({str(marker)!r}, 'w')"),
        Call(getattr, "a", "join"),
        Call(np.load, str(marker)),
        Call(np.save, str(marker), 0),
    ):
        path = write_pickled(tmp_path / "a.pth", {"w": [1, call]}, protocol, zipped=zipped)
        refused = f"{call.reduced[0].__name__}': refused, and nothing of it was run"
        assert_refused(path, refused, read=read_state_dict)
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Call(os.system, f"touch {marker}"), 2))
    assert_refused(tmp_path / "b.pth", "system")  # in place of the magic number
    assert not marker.exists()


class Options:
    """A class that a training script might have defined."""

    def __init__(self):
        self.rate = 0.1


@containers
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_other_objects_beside_the_weights_are_left_out_and_named(
    tmp_path, caplog, zipped, protocol
):
    entries = {
        "args": argparse.Namespace(epochs=3, out=Path("runs")),
        "when": datetime.datetime(2023, 5, 1, 12),
        "options": [Options()],
        "counts": collections.defaultdict(list, a=[1]),
    }
    content = {"state_dict": {"w": SIX}, "epoch": 3} | entries
    path = write_pickled(tmp_path / "a.pth", content, protocol, zipped=zipped)
    state = read_state_dict(path)
    assert list(state) == ["w"]
    np.testing.assert_array_equal(state["w"], SIX, strict=True)
    [line] = caplog.messages
    for words in ("'args' ('argparse.Namespace')", "'when' ('datetime.datetime')", "'options' ("):
        assert words in line
    assert "'epoch'" not in line and "nothing of it was run" in line
    assert set(read_torch_file(path)) == {"state_dict", "epoch"}


@pytest.mark.parametrize(
    "prefix", ["module.", "module.module.", "_orig_mod.", "model.", "net.", "module._orig_mod.net."]
)
def test_what_all_names_begin_with_is_taken_off(tmp_path, prefix):
    content = {"state_dict": {f"{prefix}{name}": SIX for name in ("a.model.w", "b.net.w")}}
    path = write_zip(tmp_path / "a.pth", pickle.dumps(content, 2))
    assert list(read_state_dict(path)) == ["a.model.w", "b.net.w"]
    content = {f"{prefix}w": SIX, "b": SIX}
    path = write_zip(tmp_path / "b.pth", pickle.dumps(content, 2))
    assert list(read_state_dict(path)) == list(content)


def test_the_inner_pickle_of_a_file_is_named(tmp_path):
    with zipfile.ZipFile(ZIP) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("data.pkl")]
        (tmp_path / "data.pkl").write_bytes(archive.read(name))
    assert_refused(tmp_path / "data.pkl", "it is the data.pkl from inside of one.*whole file")


@containers
@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02ctorch.serialization\nload\n.",
        b"\x80\x02ctorch.storage\n_load_from_bytes\n.",
        b"\x80\x02ctorch._utils\n_rebuild_wrapper_subclass\n.",
        b"\x80\x02ctorch._utils\n_import_dotted_name\n.",
        b"\x80\x04" + short("torch") + short("ops.load_library") + b"\x93.",
        b"\x80\x02" + short("storage") + b"Q.",
        b"\x80\x02K\x01Q.",
        b"\x80\x02(" + short("module") + b"NNNNtQ.",
        b"\x80\x02(" + short("storage") + b"NNNNtQ.",
        b"\x80\x02(" + short("storage") + b"]]]]tQ.",
        b"\x80\x02(]]]]]tQ.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}" + short("__kwdefaults__") + b"}sb.",
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"\x80\x02ctorch._utils\n_rebuild_parameter\n)R.",
        b"\x80\x02" + tensor() + b"(K\x01)" + short("O") + b"\x89]Natb.",
    ],
)
def test_other_ways_in_are_shut(tmp_path, pickled, zipped):
    assert_refused(write(tmp_path / "a.pth", pickled, zipped=zipped), "asks for|damaged|holds a")


@containers
def test_whole_models_are_refused_with_advice(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(torch.nn.ReLU(), tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    assert_refused(tmp_path / "a.pt", r"ReLU.*save model.state_dict\(\)")


def test_torchscript_is_refused_with_advice(tmp_path):
    path = write_zip(tmp_path / "a.pt", b"\x80\x02}.", **{"constants.pkl": b"\x80\x02)."})
    assert_refused(path, "TorchScript")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello", "neither"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html></html>", "web page"),
        (pickle.dumps({"w": SIX}), "torch.save did not write it"),
        (b"\x80", "damaged"),
        (b"PK\x03\x04", "damaged"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
    ],
)
def test_other_files_are_named(tmp_path, content, reason):
    (tmp_path / "a.pth").write_bytes(content)
    assert_refused(tmp_path / "a.pth", reason)


def test_archives_of_others_are_named(tmp_path):
    np.savez(tmp_path / "a.npz", a=SIX)
    assert_refused(tmp_path / "a.npz", "numpy .npz")
    with zipfile.ZipFile(tmp_path / "b.pth", "w") as archive:
        archive.writestr("readme", "")
    assert_refused(tmp_path / "b.pth", "zip archive without")


def test_missing_files_are_answered_with_what_is_there(tmp_path):
    (tmp_path / "model_rsnet_3.pth").touch()
    assert_refused(tmp_path / "model_rsnet_2.pth", "there is: model_rsnet_3.pth")
    assert_refused(tmp_path / "nowhere" / "a.pth", "does not exist")
    assert_refused(tmp_path, "not a file")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "no state dict.*an empty dict"),
        ({"epoch": 3, "lr": 0.1}, r"no state dict.*'epoch' \(int\)"),
        ({"state_dict": {}, "epoch": 3}, "no state dict"),
        ({"w": SIX, "args": "text"}, r"no state dict.*'args' \(str\)"),
        ({3: 1, "\x1b[2J": 2}, r"'int' \(int\), '\\x1b\[2J'"),
        ({10**5000: 1}, "an integer of more than 64 bits as a key"),
        ({"epoch": 10**5000}, "epoch: an integer of at most 64 bits was wanted, not one of 16,610"),
        ({"w": SIX, "lists": nested(100)}, r"lists\[0\].*nested beyond 20 levels"),
        ({"w": SIX, "lists": unfolding(9)}, "more than 300,000 values"),
        ([1, 2], "holds a list"),
        (None, "holds a NoneType"),
    ],
)
@containers
def test_content_that_is_no_state_dict(tmp_path, content, reason, zipped):
    path = write_pickled(tmp_path / "a.pth", content, 2, zipped=zipped)
    assert_refused(path, reason, read=read_state_dict)


@pytest.mark.parametrize("pickled", [pickled_nested, pickled_tuples])
@pytest.mark.parametrize("levels", [2000, 100_000])
@containers
def test_deep_content(tmp_path, pickled, levels, zipped):
    path = tmp_path / "a.pth"
    data = b"}" + short("w") + pickled(levels)[:-1] + b"s."
    write_zip(path, data) if zipped else write_legacy(path, data)
    assert_refused(path, "nested beyond 20 levels")


def test_a_zip_archive_that_unpacks_to_much_more(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", in_dict(tensor()))
        archive.writestr("a/data/0", bytes(2**28 + 2**24))
    assert_refused(tmp_path / "a.pth", r"refused: its [\d,]+ bytes would unpack to 285,")


def test_a_dict_that_holds_itself(tmp_path):
    content = {}
    content["model"] = content
    path = write_zip(tmp_path / "a.pth", pickle.dumps(content, 2))
    assert_refused(path, "model: nested beyond 20 levels", read=read_state_dict)


def load_or_refuse(path, data):
    path.write_bytes(data)
    try:
        return read_state_dict(path)
    except CheckpointError as error:
        assert "\n" not in str(error)
        return None


@pytest.mark.parametrize("source", [ZIP, LEGACY], ids=["zip", "legacy"])
def test_truncated_files_are_refused(tmp_path, source):
    whole = source.read_bytes()
    lengths = {*range(0, 300, 7), *np.linspace(300, len(whole) - 1, 80).astype(int), len(whole) - 1}
    for length in lengths:
        assert load_or_refuse(tmp_path / "a.pth", whole[:length]) is None


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(ZIP, id="zip"),
        pytest.param(LEGACY, id="legacy", marks=pytest.mark.slow),
    ],
)
def test_altered_files_load_or_are_refused(tmp_path, source):
    whole = source.read_bytes()
    rng = np.random.default_rng(0)
    for turn in range(300):
        data = bytearray(whole)
        reach = len(data) if turn % 2 else 16_000  # the first part is nearly all pickle
        for position in rng.integers(reach, size=rng.integers(1, 4)):
            data[position] ^= 1 << rng.integers(8)
        load_or_refuse(tmp_path / "a.pth", bytes(data))


def test_altered_pickles_behind_a_right_checksum(tmp_path):
    path = tmp_path / "a.pth"
    half = tensor(dtype="HalfStorage", key="1", offset=b"K\x02", shape=(2, 2), strides=(1, 2))
    whole = b"\x80\x02}(" + short("a") + tensor() + short("b") + half + b"u."
    storages = {"data__0": SIX.tobytes(), "data__1": SIX.tobytes()}
    assert set(read_state_dict(write_zip(path, whole, **storages))) == {"a", "b"}
    rng = np.random.default_rng(0)
    for _ in range(250):
        data = bytearray(whole)
        for position in rng.integers(len(data), size=rng.integers(1, 3)):
            data[position] = rng.integers(256)
        write_zip(path, bytes(data), **storages)
        load_or_refuse(path, path.read_bytes())
