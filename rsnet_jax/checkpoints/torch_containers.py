"""Reads what torch.save was given, from both of its containers, without torch or running code.

The zip container holds `<name>/data.pkl` and one record `<name>/data/<key>` per storage. The
older stream holds four pickles (a magic number, the version, the writer's sizes, the object), a
fifth with the keys of the storages, then each storage: its length as an int64, its elements.
In both, the object's pickle refers to storages by persistent ids.
"""

import collections
import contextlib
import io
import zipfile
from typing import Any

import ml_dtypes
import numpy as np
from jaxtyping import Shaped

from rsnet_jax.errors import shown
from rsnet_jax.files.safe_pickle import (
    PLAIN,
    AllowList,
    DamagedPickle,
    ForbiddenPickle,
    Foreign,
    checked_size,
    unpickle,
)
from rsnet_jax.files.safe_zip import check_archive

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001

_STORAGE_DTYPES = {
    "DoubleStorage": np.dtype(np.float64),
    "FloatStorage": np.dtype(np.float32),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
    "ComplexFloatStorage": np.dtype(np.complex64),
    "ComplexDoubleStorage": np.dtype(np.complex128),
    "UntypedStorage": np.dtype(np.uint8),  # its length counts bytes
}
_PLAIN_DTYPES = (
    *("float64", "float32", "float16", "complex64", "complex128", "bool"),
    *("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"),
)
_DTYPES = {"bfloat16": np.dtype(ml_dtypes.bfloat16)} | {n: np.dtype(n) for n in _PLAIN_DTYPES}

_LOOKS_LIKE = (
    (b"version https://git-lfs", "it is a Git LFS pointer; run `git lfs pull`"),
    (b"<", "it looks like a web page saved by mistake; download the file itself"),
    (b"\x89HDF", "it is an HDF5 file"),
    (b"\x93NUMPY", "it is a numpy array"),
)


class NotTorch(Exception):
    """A file that torch.save did not write; the message says what it seems to be."""


class _Storage(np.ndarray):
    """One flat, read-only storage. The type tells it from arrays that a file's pickle can make."""


def read_zip(data: bytes) -> Any:
    """The object in the zip container."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        check_archive(archive, size=len(data))
        names = set(archive.namelist())
        pickles = [n for n in names if n.count("/") == 1 and n.endswith("/data.pkl")]
        if len(pickles) != 1:
            kind = "numpy .npz" if any(n.endswith(".npy") for n in names) else "zip"
            raise NotTorch(f"it is a {kind} archive without a data.pkl")
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}constants.pkl" in names:
            raise NotTorch("it is a TorchScript program; save model.state_dict() instead")
        order = archive.read(f"{root}byteorder") if f"{root}byteorder" in names else b"little"
        if order not in (b"little", b"big"):
            raise ValueError(f"byte order {shown(order, limit=40)}")
        raw: dict[str, bytes] = {}

        def storage(pid: Any) -> _Storage:
            dtype, key, size, _ = _parse_storage_id(pid)
            if key not in raw:
                raw[key] = archive.read(f"{root}data/{key}")
            return _elements(raw[key], dtype, size, swap=order == b"big")

        stream = io.BytesIO(archive.read(pickles[0]))
        allowed = _Tensors(len(data)).allowed
        return unpickle(stream, allowed, persistent_load=storage, stand_ins=True)


def read_legacy(data: bytes) -> Any:
    """The object in the older container."""
    reasons = (reason for start, reason in _LOOKS_LIKE if data.lstrip().startswith(start))
    if not data.startswith(b"\x80"):  # PROTO, with which torch's pickles begin
        raise NotTorch(next(reasons, "it is neither a zip archive nor torch's older format"))
    stream = io.BytesIO(data)
    try:
        first = unpickle(stream, PLAIN)
    except ForbiddenPickle:
        if _refers_to_storages(data):
            raise NotTorch(
                "it is the data.pkl from inside of one, without the tensors; give the whole file"
            ) from None
        raise
    if first != _LEGACY_MAGIC:
        raise NotTorch("it is a pickle, but torch.save did not write it")
    version, _ = unpickle(stream, {}), unpickle(stream, {})
    if version != _LEGACY_VERSION:
        raise NotTorch(f"it is not of version {_LEGACY_VERSION} of torch's older format")
    start = stream.tell()
    storages = _read_legacy_storages(stream, len(data))

    def storage(pid: Any) -> _Storage:
        _, key, _, view = _parse_storage_id(pid)
        if view is None:
            return storages[key]
        _, offset, size = view
        if not 0 <= offset <= offset + size <= len(storages[key]):
            raise ValueError(f"a view that leaves its storage {shown(key, limit=40)}")
        return storages[key][offset : offset + size].view(_Storage)

    stream.seek(start)
    allowed = _Tensors(len(data)).allowed
    return unpickle(stream, allowed, persistent_load=storage, stand_ins=True)


def _refers_to_storages(data: bytes) -> bool:
    """Whether a pickle refers to storages of torch outside of it."""
    found = False

    def storage(pid: Any) -> None:
        nonlocal found
        found = found or (type(pid) is tuple and pid[:1] == ("storage",))

    with contextlib.suppress(ForbiddenPickle, DamagedPickle):
        unpickle(io.BytesIO(data), {}, persistent_load=storage, stand_ins=True)
    return found


def _read_legacy_storages(stream: io.BytesIO, file_size: int) -> dict[str, _Storage]:
    """Reads the storages, which follow the object's pickle; only that pickle has their dtypes.

    So the pickle is read here for the dtypes, and read again for the object.
    """
    declared: dict[str, tuple[np.dtype, int]] = {}

    def note(pid: Any) -> None:
        dtype, key, size, _ = _parse_storage_id(pid)
        if declared.setdefault(key, (dtype, size)) != (dtype, size):
            raise ValueError(f"storage {shown(key, limit=40)} is declared twice, differently")

    unpickle(stream, _WITHOUT_TENSORS, persistent_load=note, stand_ins=True)
    keys = unpickle(stream, {})
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise ValueError("the list of storages is no list of strings")
    if set(keys) != set(declared):
        raise ValueError("the list of storages does not fit the object")
    storages = {}
    for key in keys:
        dtype, size = declared[key]
        # This container is little-endian on every machine, unlike the zip container.
        if int.from_bytes(stream.read(8), "little") != size:
            raise ValueError(f"cut short, or {shown(key, limit=40)} is not of its declared size")
        if size * dtype.itemsize > file_size:
            raise ValueError(f"storage {shown(key, limit=40)} is cut short")
        storages[key] = _elements(stream.read(size * dtype.itemsize), dtype, size, swap=False)
    return storages


def _parse_storage_id(pid: Any) -> tuple[np.dtype, str, int, Any]:
    """Takes dtype, key, elements and view from ("storage", type, key, device, elements[, view])."""
    _check_known(*pid if type(pid) is tuple else ())
    if type(pid) is not tuple or len(pid) not in (5, 6) or pid[0] != "storage":
        raise ForbiddenPickle("an object outside the pickle that is no storage")
    _, dtype, key, _, size = pid[:5]
    if not isinstance(dtype, np.dtype) or type(key) is not str or type(size) is not int:
        raise ValueError("a malformed storage id")
    if not 0 <= size < 2**63:
        raise ValueError(f"storage {shown(key, limit=40)} of {shown(size)} elements")
    return dtype, key, size, pid[5] if len(pid) == 6 else None


def _check_known(*parts: Any) -> None:
    """Refuses what a tensor or storage cannot be made without."""
    for part in parts:
        if isinstance(part, Foreign):
            raise ForbiddenPickle(part.name)


def _elements(raw: bytes, dtype: np.dtype, size: int, *, swap: bool) -> _Storage:
    """The first `size` elements of the bytes of a storage, with bytes swapped if `swap`."""
    length = size * dtype.itemsize
    if len(raw) < length:
        raise ValueError(f"a storage of {length} bytes is cut short to {len(raw)}")
    if swap:
        unit = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
        return np.frombuffer(raw[:length], f"u{unit}").byteswap().view(dtype).view(_Storage)
    return np.frombuffer(raw[:length], dtype).view(_Storage)


class _Tensors:
    """Makes arrays of the tensors of one file, which are views into its storages."""

    def __init__(self, file_size: int):
        # Bytes for arrays. Tensors may be larger than the file, since expanded tensors store one
        # element and tied ones share a storage; but a small file must not claim all memory.
        self._budget = 2**28 + 16 * file_size

    @property
    def allowed(self) -> AllowList:
        return _WITHOUT_TENSORS | {
            ("torch._utils", "_rebuild_tensor"): self._array,
            ("torch._utils", "_rebuild_tensor_v2"): self._array,
            ("torch._utils", "_rebuild_tensor_v3"): self._array_of_dtype,
        }

    def _array_of_dtype(
        self, storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any
    ) -> Shaped[np.ndarray, "..."]:
        _requires_grad, _hooks, dtype, *_ = rest
        _check_known(dtype)
        if not isinstance(storage, _Storage) or not isinstance(dtype, np.dtype):
            raise ValueError("a tensor without a storage or dtype")
        raw = storage.view(np.uint8)
        size = len(raw) // dtype.itemsize
        typed = raw[: size * dtype.itemsize].view(dtype)
        return self._array(typed, offset, shape, strides)

    def _array(
        self, storage: Any, offset: Any, shape: Any, strides: Any, *_rest: Any
    ) -> Shaped[np.ndarray, "..."]:
        if not isinstance(storage, _Storage):
            raise ValueError("a tensor without a storage")
        size = checked_size(shape)
        checked_size(strides)
        if len(strides) != len(shape) or type(offset) is not int or offset < 0:
            raise ValueError("a tensor with malformed strides or offset")
        steps = zip(shape, strides, strict=True)
        last = offset + sum((length - 1) * step for length, step in steps)
        if size and last >= len(storage):
            raise ValueError(f"a tensor that leaves its storage of {len(storage)} elements")
        self._budget -= size * storage.itemsize
        if self._budget < 0:
            raise ValueError("the tensors are much larger than the file")
        if not size:
            return np.empty(shape, storage.dtype)
        byte_strides = [step * storage.itemsize for step in strides]
        view = np.lib.stride_tricks.as_strided(storage[offset:], shape, byte_strides)
        return np.array(view, order="C")


def _unwrap(data: Any, *_: Any) -> Any:
    """Returns the tensor of a parameter."""
    return data


def _ignore(*_: Any) -> None:
    return None


def _shape(lengths: Any = ()) -> tuple[int, ...]:
    return tuple(lengths)


def _device(kind: str, index: int | None = None) -> str:
    if type(kind) is not str or type(index) not in (int, type(None)):
        raise TypeError("a malformed device")
    return kind if index is None else f"{kind}:{index}"


def _counter(counts: dict[Any, int]) -> collections.Counter[Any]:
    if not isinstance(counts, dict):
        raise TypeError("a Counter of something other than a dict")
    return collections.Counter(counts)


_WITHOUT_TENSORS = {
    **PLAIN,
    **{("torch", name): dtype for name, dtype in (_STORAGE_DTYPES | _DTYPES).items()},
    ("torch.storage", "UntypedStorage"): _STORAGE_DTYPES["UntypedStorage"],
    ("torch", "Size"): _shape,
    ("torch", "device"): _device,
    ("collections", "Counter"): _counter,  # in the state of torch.optim's MultiStepLR
    ("torch._utils", "_rebuild_tensor"): _ignore,
    ("torch._utils", "_rebuild_tensor_v2"): _ignore,
    ("torch._utils", "_rebuild_tensor_v3"): _ignore,
    ("torch._utils", "_rebuild_parameter"): _unwrap,
    ("torch._utils", "_rebuild_parameter_with_state"): _unwrap,
}
