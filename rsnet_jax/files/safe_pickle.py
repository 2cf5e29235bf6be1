"""Reads pickles of untrusted origin: plain containers and arrays only, and no code is run.

A pickle is a program. The only functions it can call here are those of an allow-list, which make
containers and arrays and check their arguments; a request for anything else ends the reading, or
gets a name in place of the object.
"""

import collections
import dataclasses
import io
import math
import pickle
import re
import struct
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, ClassVar, no_type_check

import numpy as np
from jaxtyping import Shaped

from rsnet_jax.errors import one_line, shown

AllowList = Mapping[tuple[str, str], Any]
"""(module, name) as a pickle spells them -> what it gets for them: a function or data of ours."""


class ForbiddenPickle(Exception):
    """A pickle that asks for more than plain data needs; the message says for what."""


class DamagedPickle(Exception):
    """A pickle that is cut short or malformed."""


@dataclasses.dataclass(frozen=True, eq=False)
class Foreign:
    """Stands where a pickle asks for an object that it does not get.

    It can be called, filled and given a state, as a class and its objects are; nothing comes of it.
    """

    name: str
    """What was asked for, printable: 'argparse.Namespace'."""

    def __call__(self, *arguments: Any) -> "Foreign":
        # In old protocols copyreg._reconstructor is called with the class, which says more.
        return next((one for one in arguments if isinstance(one, Foreign)), self)

    def append(self, _: Any) -> None:
        """Drops an item."""

    def extend(self, _: Any) -> None:
        """Drops items."""


def unpickle(
    stream: BinaryIO,
    allowed: AllowList,
    *,
    persistent_load: Callable[[Any], Any] | None = None,
    stand_ins: bool = False,
) -> Any:
    """Reads one pickle and leaves `stream` at its end. Strings of Python 2 are read as Latin-1.

    Args:
        stream: the file, at the start of the pickle; it can seek.
        allowed: the only names that the pickle can use.
        persistent_load: makes the object for a persistent id; None refuses all such ids.
        stand_ins: whether names that are not in `allowed` become `Foreign`. They are never looked
            up.

    Raises:
        ForbiddenPickle: the pickle asks for a name that is not in `allowed`, without `stand_ins`;
            or for an operation that plain data do not need.
        DamagedPickle: the pickle is not a whole pickle of such data.
    """
    start = stream.tell()
    size = stream.seek(0, io.SEEK_END) - start
    stream.seek(start)
    unpickler = _AllowListUnpickler(
        stream, allowed, persistent_load, size=size, stand_ins=stand_ins
    )
    try:
        return unpickler.load()
    except ForbiddenPickle:
        raise
    except Exception as error:  # a malformed pickle can make any operation fail, in any way
        raise DamagedPickle(one_line(error)) from error


_MAX_OBJECT_ARRAYS = 2000  # numpy frees nested ones by recursion; too deep overflows the C stack
_MAX_OPERATIONS = 5_000_000  # each takes a microsecond and up to 64 bytes; real files need a tenth
_FREE_BYTES = 2**28


class _AllowListUnpickler(pickle._Unpickler):
    """The standard library's unpickler in pure Python, with dangerous operations taken out.

    The unpickler in C has no table of operations that could be changed. It lets a file call
    __setstate__ or set attributes of any object that the file got hold of, and four bytes of a
    file can make it allocate 64 GB for its memo.
    """

    stack: list[Any]
    read: Callable[[int], bytes]
    pop_mark: Callable[[], list[Any]]

    def __init__(
        self,
        stream: BinaryIO,
        allowed: AllowList,
        persistent_load: Callable[[Any], Any] | None,
        *,
        size: int,
        stand_ins: bool,
    ):
        super().__init__(stream, encoding="latin1")
        self._stand_ins = stand_ins
        self.dispatch = _Counted(self.dispatch)  # pyright: ignore[reportAttributeAccessIssue]
        # Bytes for what calls make: a few bytes of a file can copy a large object again and again.
        self._budget = _FREE_BYTES + 16 * size
        self._allowed = allowed
        self._persistent_load = persistent_load
        self._object_arrays = 0

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            asked = shown(f"{module[:100]}.{name[:100]}")
            if not self._stand_ins:
                raise ForbiddenPickle(asked) from None
            return Foreign(asked)

    def persistent_load(self, pid: Any) -> Any:
        if self._persistent_load is None:
            raise ForbiddenPickle("an object outside the pickle (a persistent id)")
        return self._persistent_load(pid)

    def load_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Foreign):
            return
        if type(target) not in _BUILD:
            raise ForbiddenPickle(f"setting the state of a {type(target).__name__}")
        _BUILD[type(target)](target, state)
        self._spend(target)
        self._object_arrays += isinstance(target, np.ndarray) and target.dtype.hasobject
        if self._object_arrays > _MAX_OBJECT_ARRAYS:
            raise ValueError(f"more than {_MAX_OBJECT_ARRAYS} arrays of objects")

    @no_type_check
    def load_reduce(self) -> None:
        super().load_reduce()  # pyright: ignore[reportAttributeAccessIssue]
        self._spend(self.stack[-1])

    @no_type_check  # see `_Counted`
    def _spend(self, made: Any) -> None:
        self._budget -= sys.getsizeof(made)
        if self._budget < 0:
            raise ValueError("its objects are much larger than the file")

    def load_newobj(self) -> None:
        self.stack.pop()  # the arguments
        self._check_foreign()

    def load_newobj_ex(self) -> None:
        self.stack.pop()  # the named arguments
        self.load_newobj()

    def _check_foreign(self) -> None:
        """An object of a class that is not looked up is what stands for the class."""
        if not isinstance(self.stack[-1], Foreign):
            self.refuse()

    def load_setitem(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        _set_items(self.stack[-1], [key, value])

    def load_setitems(self) -> None:
        items = self.pop_mark()
        _set_items(self.stack[-1], items)

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({})
        _set_items(self.stack[-1], items)

    def load_additems(self) -> None:
        items = _set(self.pop_mark())
        if not isinstance(self.stack[-1], Foreign):
            self.stack[-1].update(items)

    def load_bytearray8(self) -> None:
        # The inherited method allocates the claimed length before it checks the file's size.
        (length,) = struct.unpack("<Q", self.read(8))
        self.stack.append(bytearray(self.read(length)))

    def refuse(self) -> None:
        raise ForbiddenPickle("an operation that plain data does not need")

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch) | {
        pickle.BUILD[0]: load_build,
        pickle.REDUCE[0]: load_reduce,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
        pickle.ADDITEMS[0]: load_additems,
        pickle.BYTEARRAY8[0]: load_bytearray8,
        pickle.EXT1[0]: refuse,  # the extension registry has a cache that find_class never sees
        pickle.EXT2[0]: refuse,
        pickle.EXT4[0]: refuse,
        pickle.NEWOBJ[0]: load_newobj,
        pickle.NEWOBJ_EX[0]: load_newobj_ex,
        pickle.FROZENSET[0]: refuse,
        pickle.PERSID[0]: refuse,
        pickle.NEXT_BUFFER[0]: refuse,
        pickle.READONLY_BUFFER[0]: refuse,
    }


class _Counted(dict[int, Callable[[Any], None]]):
    """The operations of an unpickler, of which so many can be looked up."""

    left = _MAX_OPERATIONS

    @no_type_check  # the checks of tests would take most of the time
    def __getitem__(self, code: int) -> Callable[[Any], None]:
        self.left -= 1
        if self.left < 0:
            raise ValueError(f"more than {_MAX_OPERATIONS:,} operations")
        return super().__getitem__(code)


def _check_key(key: Any) -> Any:
    """Refuses keys that are costly to hash or to tell apart.

    Hashing deeply nested tuples overflows the C stack; large integers can all have one hash.
    """
    parts = key if isinstance(key, tuple) else (key,)
    if any(isinstance(part, tuple) for part in parts):
        raise ValueError("a nested tuple as a key")
    if any(isinstance(part, int) and part.bit_length() > 64 for part in parts):
        raise ValueError("an integer of more than 64 bits as a key")
    return key


def _set_items(target: Any, items: list[Any]) -> None:
    if isinstance(target, Foreign):
        return
    if not isinstance(target, dict):
        raise TypeError(f"items for a {type(target).__name__}, which is not a dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[_check_key(key)] = value


class _DType:
    """The result of `numpy.dtype(...)` in a pickle: a real dtype inside, out of the file's reach.

    With a real dtype a file could set internal flags of numpy through its state.
    """

    def __init__(self, code: str, align: bool | int = False, copy: bool | int = False):
        if not re.fullmatch(r"[<>|=]?([biufc]\d{1,2}|[SU]\d{1,6}|O\d?|\?)", code):
            raise ForbiddenPickle(f"arrays of dtype {shown(code, limit=40)}")
        self.dtype = np.dtype(object) if "O" in code else np.dtype(code)

    def build(self, state: Any) -> None:
        """Applies the byte order in numpy's (version, order, subarray, names, fields, ...)."""
        if any(part is not None for part in state[2:5]):
            raise ForbiddenPickle("arrays of a structured dtype")
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


def _dtype(*args: Any) -> _DType:
    return _DType(*args)


_NDARRAY = "numpy.ndarray"  # a string in place of the type, so that a pickle cannot call it


def _reconstruct(subtype: Any, shape: Any, code: Any) -> Shaped[np.ndarray, " 0"]:
    if subtype is not _NDARRAY:
        raise ForbiddenPickle("a kind of array other than numpy.ndarray")
    return np.empty(0, np.int8)  # the state that follows brings the shape and dtype


def _build_array(array: np.ndarray, state: Any) -> None:
    """Fills an array in place, so that earlier references to it in the file stay valid.

    Dtype, shape and data are checked against each other: numpy would read raw bytes as pointers,
    or read past the end of the data.
    """
    _, shape, dtype, fortran, data = state
    if not isinstance(dtype, _DType):
        raise TypeError("an array's dtype is not a dtype")
    count = checked_size(shape)
    if dtype.dtype.hasobject:
        agrees = type(data) is list and len(data) == count
    else:
        data = _as_bytes(data)
        agrees = len(data) == count * dtype.dtype.itemsize
        check_characters(data, dtype.dtype)
    if not agrees:
        raise ValueError(f"an array of shape {shape} with data of another size")
    checked: Any = (1, shape, dtype.dtype, bool(fortran), data)
    array.__setstate__(checked)


def checked_size(shape: Any) -> int:
    """The number of elements of an array with the shape that a file claims.

    Raises:
        ValueError: `shape` is not a tuple of at most 32 counts.
    """
    if type(shape) is not tuple or not all(type(n) is int and 0 <= n < 2**63 for n in shape):
        raise ValueError("a shape that is not a tuple of counts")
    if len(shape) > 32:
        raise ValueError(f"a shape of {len(shape)} axes")
    return math.prod(shape)


def check_characters(data: bytes | memoryview, dtype: np.dtype) -> None:
    """Checks the bytes of an array if it is of text; numpy fails on other numbers when it is read.

    Raises:
        ValueError: a number is not that of a character.
    """
    if dtype.kind != "U":
        return
    codes = np.frombuffer(data, np.dtype("u4").newbyteorder(dtype.byteorder))
    if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
        raise ValueError("an array of text with numbers that are no characters")


def _as_bytes(data: Any) -> bytes:
    # Python 2 wrote raw data as what is now a string.
    return data.encode("latin1") if isinstance(data, str) else bytes(memoryview(data))


def _scalar(dtype: _DType, data: Any) -> Any:
    data = _as_bytes(data)
    if dtype.dtype.hasobject or len(data) != dtype.dtype.itemsize:
        raise ValueError("a numpy scalar whose data is of another size")
    check_characters(data, dtype.dtype)
    return np.ndarray((), dtype.dtype, data)[()]


def _frombuffer(
    buffer: Any, dtype: _DType, shape: Any, order: str, axis_order: Any = None
) -> Shaped[np.ndarray, "..."]:
    checked_size(shape)
    data = _as_bytes(buffer)
    check_characters(data, dtype.dtype)
    array = np.frombuffer(data, dtype.dtype)
    array = array.astype(array.dtype.newbyteorder("="))
    if order == "K" and axis_order is not None:
        return array.reshape(shape).transpose(axis_order)
    return array.reshape(shape, order="F" if order == "F" else "C")


def _encode(text: str, encoding: str) -> bytes:
    if encoding.lower() not in ("latin1", "latin-1"):
        raise ForbiddenPickle(f"_codecs.encode with {shown(encoding, limit=40)}")
    return text.encode("latin1")


def _set(items: Any = ()) -> set[Any]:
    return {_check_key(item) for item in items}


def _ordered_dict(pairs: Any = ()) -> collections.OrderedDict[Any, Any]:
    return collections.OrderedDict((_check_key(key), value) for key, value in pairs)


def _empty_bytes() -> bytes:
    return b""


def _drop_attributes(target: Any, state: Any) -> None:
    """Ignores attributes: a torch state dict has one, the version numbers of its modules."""


_BUILD: dict[type, Callable[[Any, Any], None]] = {
    _DType: _DType.build,
    np.ndarray: _build_array,
    collections.OrderedDict: _drop_attributes,
}

PLAIN: AllowList = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
    ("numpy", "dtype"): _dtype,
    ("numpy", "ndarray"): _NDARRAY,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): _ordered_dict,
    ("builtins", "set"): _set,
    ("__builtin__", "set"): _set,
    ("builtins", "bytes"): _empty_bytes,
    ("__builtin__", "bytes"): _empty_bytes,
}
"""The names that arrays, sets and bytes need; other containers, strings and numbers need none."""
