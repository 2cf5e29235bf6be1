import copyreg
import io
import os
import pickle
import struct
from collections import OrderedDict

import numpy as np
import pytest

from rsnet_jax.files.safe_pickle import PLAIN, DamagedPickle, ForbiddenPickle, unpickle

REFUSED = (ForbiddenPickle, DamagedPickle)


def read(data):
    return unpickle(io.BytesIO(data), PLAIN)


def short(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


NDARRAY = b"cnumpy\nndarray\n"
RECONSTRUCT = b"cnumpy._core.multiarray\n_reconstruct\n(" + NDARRAY + b"K\x00\x85C\x01btR"


def dtype(code):
    return b"cnumpy\ndtype\n(" + short(code) + b"\x89\x88tR"


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_comes_back_as_it_was(protocol):
    value = {
        "text": "S9 Walking é",
        "bytes": b"\x00\xff",
        "empty": b"",
        "numbers": [1, -(2**70), 0.5, True, None],
        "tuple": ((1,), ()),
        "set": {1, "a"},
        3: OrderedDict(b=1, a=2),
        (1, "key"): [[], {}],
    }
    if protocol == 0:
        del value["bytes"]  # escaped strings of protocol 0 come back as text
    got = read(pickle.dumps(value, protocol))
    assert got == value
    assert list(got[3]) == ["b", "a"]


ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(24, dtype=np.int16).reshape(2, 3, 4).transpose(2, 0, 1),
    np.arange(5, dtype=">f8"),
    np.array(7, dtype=np.uint8),
    np.zeros((0, 3)),
    np.array([True, False]),
    np.array(["hip", "knee"]),
    np.array([b"ab", b"c"]),
    np.array([1 + 2j]),
    np.array([1, "a", None, [2]], dtype=object),
]


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_arrays_come_back_as_they_were(array, protocol):
    first, again = read(pickle.dumps([array, array], protocol))
    assert first is again
    assert first.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(first, array, strict=array.dtype.isnative)
    first[...] = first  # writable


@pytest.mark.parametrize("value", [np.float64(0.25), np.int32(-3), np.bool_(True), np.str_("x")])
def test_numpy_scalars(value):
    got = read(pickle.dumps(value))
    assert got == value and type(got) is type(value)


def test_names_of_older_numpy_and_python_2_strings():
    old = pickle.dumps(np.arange(3.0), 2).replace(b"numpy._core.", b"numpy.core.")
    assert b"numpy.core." in old
    np.testing.assert_array_equal(read(old), [0, 1, 2])
    # Python 2 writes raw bytes, and non-ASCII text, as BINSTRING.
    raw = np.array([1.5, -2.0]).tobytes()
    data = b"\x80\x02" + RECONSTRUCT + b"(K\x01K\x02\x85" + dtype("f8")
    data += b"\x89T" + struct.pack("<i", len(raw)) + raw + b"tb."
    np.testing.assert_array_equal(read(data), [1.5, -2.0])
    assert read(b"\x80\x02U\x02\xe9t.") == "ét"


class Call:
    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


def hostile_calls(marker):
    command = f"touch {marker}"
    yield os.system, command
    yield eval, f"open({str(marker)!r}, 'w')"
    yield exec, f"open({str(marker)!r}, 'w')"
    yield getattr, "text", "join"
    yield __import__, "os"
    yield open, str(marker), "w"
    yield np.load, str(marker)
    yield np.save, str(marker), 0
    yield np.fromfile, str(marker)
    yield np.memmap, str(marker), "u1", "w+", 0, (1,)
    yield pickle.loads, b"N."


@pytest.mark.parametrize("protocol", range(5))
def test_calls_are_refused_and_not_run(tmp_path, protocol):
    marker = tmp_path / "ran"
    for function, *args in hostile_calls(marker):
        data = pickle.dumps({"a": [np.zeros(2), Call(function, *args)]}, protocol)
        with pytest.raises(ForbiddenPickle, match=function.__name__):
            read(data)
    assert not marker.exists()


def handmade(marker):
    command = short(f"touch {marker}")
    yield b"cposix\nsystem\n(S'touch %s'\ntR." % str(marker).encode()
    yield b"\x80\x04" + short("posix") + short("system") + b"\x93" + command + b"\x85R."
    yield b"(" + b"cos\nsystem\n" + command + b"o."  # OBJ
    yield b"(" + command + b"ios\nsystem\n."  # INST
    yield b"\x80\x02cos\nsystem\n" + command + b"\x85\x81."  # NEWOBJ
    yield b"\x80\x04" + short("os.path") + short("os.system") + b"\x93" + command + b"\x85R."
    yield b"\x80\x04" + short("numpy") + short("ndarray.__class__") + b"\x93."
    yield b"\x80\x04" + short("collections") + short("_sys.modules") + b"\x93."
    yield b"Pname\n."  # PERSID
    yield b"K\x01Q."  # BINPERSID
    yield b"\x80\x02" + NDARRAY + b"J\x00\x00\x00\x7f\x85R."  # a call of numpy.ndarray
    yield b"\x80\x02" + NDARRAY + b"J\x00\x00\x00\x7f\x85\x81."
    yield b"\x80\x05\x97."  # NEXT_BUFFER
    yield b"\x80\x04(\x91."  # FROZENSET
    # state for a function, a str and a class-like token: would set attributes
    yield b"\x80\x02cnumpy\ndtype\n}" + short("__defaults__") + b")sb."
    yield b"\x80\x02" + NDARRAY + b"N}" + short("__call__") + b"Ns\x86b."
    yield b"\x80\x02X\x01\x00\x00\x00a}b."
    yield b"c_codecs\nencode\n" + short("a") + short("rot13") + b"\x86R."
    yield b"\x80\x02" + RECONSTRUCT[:-9] + b"K\x00K\x00\x85C\x01btR."  # another subtype


def test_every_route_to_code_is_shut(tmp_path):
    marker = tmp_path / "ran"
    for data in handmade(marker):
        with pytest.raises(REFUSED):
            read(data)
    assert not marker.exists()


@pytest.mark.parametrize("cached", [False, True])
def test_the_extension_registry_is_not_used(tmp_path, cached):
    code = 240
    copyreg.add_extension("posix", "system", code)
    try:
        data = b"\x80\x02\x82" + bytes([code]) + short(f"touch {tmp_path}/ran") + b"\x85R."
        if cached:
            pickle.loads(b"\x80\x02\x82" + bytes([code]) + b".")
        with pytest.raises(ForbiddenPickle):
            read(data)
    finally:
        copyreg.remove_extension("posix", "system", code)
    assert not list(tmp_path.iterdir())


def array_state(code, shape, data, flags=b""):
    return RECONSTRUCT + b"(K\x01" + shape + dtype(code) + flags + b"\x89" + data + b"tb."


POINTERS = b"C\x10" + b"A" * 16
DTYPE_FLAGS = b"(K\x03" + short("|") + b"NNN" + b"J\xff\xff\xff\xff" * 2 + b"K\x00tb"


@pytest.mark.parametrize(
    "data",
    [
        array_state("O8", b"K\x02\x85", POINTERS),
        array_state("O8", b"K\x02\x85", POINTERS, DTYPE_FLAGS),  # pretends to hold no objects
        array_state("O8", b"K\x02\x85", b"](K\x01e"),  # one object for two places
        array_state("f8", b"K\x03\x85", POINTERS),
        array_state("f8", b"J\xfe\xff\xff\xff\x85", POINTERS),
        array_state("f8", b"J\xfe\xff\xff\xffJ\xff\xff\xff\xff\x86", POINTERS),
        array_state("f8", b"\x8a\x08" + b"\x7f" * 8 + b"\x85", POINTERS),
        array_state("f8", b"(" + b"K\x01" * 40 + b"t", POINTERS[:1] + b"\x08" + b"A" * 8),
        array_state("V16", b"K\x01\x85", POINTERS),
        array_state("i4,O", b"K\x01\x85", POINTERS),
        array_state("f8", b"K\x02\x85", POINTERS, b"(K\x03" + short("|") + b"N)}K\x08K\x08K\x00tb"),
        RECONSTRUCT + b"(K\x01K\x02\x85" + short("O") + b"\x89" + POINTERS + b"tb.",
        b"cnumpy._core.multiarray\nscalar\n(" + dtype("O8") + POINTERS + b"tR.",
        b"cnumpy._core.multiarray\nscalar\n(" + dtype("f8") + b"C\x01AtR.",
        b"cnumpy._core.numeric\n_frombuffer\n(" + POINTERS + dtype("O8") + b"K\x02\x85U\x01CtR.",
        b"cnumpy._core.numeric\n_frombuffer\n(" + POINTERS + dtype("f8") + b"K\x09\x85U\x01CtR.",
    ],
)
def test_arrays_that_contradict_themselves_are_refused(data):
    with pytest.raises(REFUSED):
        read(b"\x80\x04" + data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04",
        b"\x80\x09N.",
        b"\x80\x05\x96" + b"\xff" * 6 + b"\x00\x00abc.",  # BYTEARRAY8 of 2 ** 48 bytes
        b"\x80\x05\x96" + b"\xff" * 4 + b"\x0f\x00\x00\x00abc.",
        b"\x8e" + b"\xff" * 6 + b"\x00\x00abc.",  # BINBYTES8
        b"T\xff\xff\xff\x7fabc.",
        b"\x80\x04\x95" + b"\xff" * 5 + b"\x00\x00\x00N",  # FRAME
        b"I" + b"9" * 5000 + b"\n.",
        b"}" + b")" + b"\x85" * 200_000 + b"Ns.",  # a key that overflows the stack when hashed
        b"cbuiltins\nset\n(]" + b")" + b"\x85" * 200_000 + b"atR.",
        b"0000.",
        b"NNR.",
        b"\xfe.",
        b"(((",
        RECONSTRUCT + b"K\x01s.",
        RECONSTRUCT + b"K\x00K\x01s.",
    ],
    ids=range(17),
)
def test_senseless_pickles_are_damaged(data):
    with pytest.raises(DamagedPickle):
        read(data)


def test_copies_of_one_object_do_not_fill_the_memory(monkeypatch):
    """Each call takes a few bytes of the file, and copies what is in the memo."""
    monkeypatch.setattr("rsnet_jax.files.safe_pickle._FREE_BYTES", 2**20)
    raw = b"\x80\x04B" + (2**19).to_bytes(4, "little") + b"a" * 2**19 + b"\x94"
    numbers = b"".join(b"M" + number.to_bytes(2, "little") for number in range(5_000))
    many = b"](" + numbers + b"e\x94"
    text = b"X" + (2**20).to_bytes(4, "little") + b"a" * 2**20 + b"\x94"
    array = b"cnumpy._core.multiarray\nscalar\n(" + dtype("S524288") + b"h\x00tR"
    for start, call in (
        (raw, array),
        (many, b"cbuiltins\nset\n(h\x00tR"),
        (text, b"c_codecs\nencode\n(h\x00\x8c\x06latin1tR"),
    ):
        one = start + b"0" + b"(" + call * 2 + b"t."
        assert len(read(one)) == 2
        whole = start + b"0" + b"(" + call * 200 + b"t."
        with pytest.raises(DamagedPickle, match="much larger than the file"):
            read(whole)


def test_operations_are_counted(monkeypatch):
    monkeypatch.setattr("rsnet_jax.files.safe_pickle._Counted.left", 10)
    assert read(b"]" + b"]a" * 4 + b".") == [[]] * 4
    with pytest.raises(DamagedPickle, match="more than 5,000,000 operations"):
        read(b"]" + b"]a" * 5 + b".")


def test_a_huge_memo_index_takes_no_memory():
    assert read(b"Nr\xff\xff\xff\xff.") is None


def test_nesting_that_would_overflow_the_stack_when_freed():
    level = RECONSTRUCT + b"(K\x01)" + dtype("O8") + b"\x89"
    data = b"\x80\x04" + level * 30_000 + b"]Na" + b"tb\x85" * 29_999 + b"tb."
    with pytest.raises(REFUSED):
        read(data)
    deep = 200
    data = b"\x80\x04" + (level + b"](") * deep + b"N" + b"etb" * deep + b"."
    assert read(data).shape == ()
    assert read(b"]" * 100_000 + b"a" * 99_999 + b".")
