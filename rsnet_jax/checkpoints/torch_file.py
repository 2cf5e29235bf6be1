"""Reads files of torch.save, in both of its containers, without torch and without running code.

The zip container holds `<name>/data.pkl` and one record `<name>/data/<key>` per storage. The
older stream holds four pickles (a magic number, the version, the writer's sizes, the object), a
fifth with the keys of the storages, then each storage: its length as an int64, its elements.
In both, the object's pickle refers to storages by persistent ids.
"""

import collections
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from jaxtyping import Shaped

from rsnet_jax.errors import CheckpointError, StorageError, one_line, shown
from rsnet_jax.files.paths import require_file, to_path
from rsnet_jax.files.plain_data import DATA, check_plain
from rsnet_jax.files.safe_pickle import PLAIN, AllowList, ForbiddenPickle, checked_size, unpickle
from rsnet_jax.files.safe_zip import ZipBomb, check_archive

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

# Training scripts wrap the state dict under one of these, in the order they are tried.
_WRAPPERS = ("state_dict", "model_state_dict", "model_pos", "model")

_LOOKS_LIKE = (
    (b"version https://git-lfs", "it is a Git LFS pointer; run `git lfs pull`"),
    (b"<", "it looks like a web page saved by mistake; download the file itself"),
    (b"\x89HDF", "it is an HDF5 file"),
    (b"\x93NUMPY", "it is a numpy array"),
)


def read_state_dict(path: str | Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The weights of a model by name, from a bare state dict or a training checkpoint.

    A `module.` in front of every name, which DataParallel leaves, is removed.

    Raises:
        CheckpointError: see `read_torch_file`; or the file holds no state dict.
    """
    state = read_torch_file(path)
    for _ in _WRAPPERS:  # a bounded loop, since a dict in a file can contain itself
        inner = [state[name] for name in _WRAPPERS if isinstance(state.get(name), dict)]
        state = inner[0] if inner else state
    others = {name: value for name, value in state.items() if not _is_weight(name, value)}
    if others or not state:
        raise CheckpointError(f"{path} holds no state dict of tensors, but {_describe(others)}")
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    return dict(state)


def _is_weight(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, np.ndarray) and not value.dtype.hasobject


def _describe(entries: Mapping[Any, Any]) -> str:
    """Names and types of the first entries of a dict."""
    # A name that is not a string is shown as its type: printing it could take forever.
    names = [name if isinstance(name, str) else type(name).__name__ for name in entries][:5]
    kinds = [type(value).__name__ for value in entries.values()]
    found = [f"{shown(name, limit=50)} ({kind})" for name, kind in zip(names, kinds, strict=False)]
    return (", ".join(found) + (", ..." if len(entries) > 5 else "")) or "an empty dict"


def read_torch_file(path: str | Path) -> dict[Any, Any]:
    """Reads the dict that was given to torch.save; tensors and parameters become NumPy arrays.

    Every array owns its data, is C-contiguous and has the shape and dtype torch would give it;
    bfloat16 is that of ml_dtypes. Devices, hooks and `requires_grad` are dropped.

    Raises:
        CheckpointError: the file is missing, damaged, not from torch.save, holds no dict, or asks
            for other objects. Such objects are not looked up, and nothing of the file is run.
    """
    path = to_path(path)
    require_file(path, CheckpointError)
    try:
        data = path.read_bytes()
        content = _read_zip(data) if data.startswith(b"PK") else _read_legacy(data)
    except StorageError:
        raise
    except _NotTorch as error:
        raise CheckpointError(f"{path} is not a PyTorch checkpoint: {error}") from error
    except ForbiddenPickle as error:
        raise CheckpointError(
            f"{path} asks for {error}: refused, and nothing of it was run;"
            " only tensors and plain data are read, so save model.state_dict(), not the model"
        ) from error
    except ZipBomb as error:
        raise CheckpointError(f"{path}: refused: {error}") from error
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{path} is damaged or cut short ({one_line(error)})") from error
    except Exception as error:  # a damaged file can make any step of the reading fail
        raise CheckpointError(f"{path} is damaged ({one_line(error)})") from error
    check_plain(content, name=str(path), error=CheckpointError, limits=DATA)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, wanted a dict of tensors")
    return content


class _NotTorch(Exception):
    """A file that torch.save did not write; the message says what it seems to be."""


class _Storage(np.ndarray):
    """One flat, read-only storage. The type tells it from arrays that a file's pickle can make."""


def _read_zip(data: bytes) -> Any:
    """The object in the zip container."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        check_archive(archive, size=len(data))
        names = set(archive.namelist())
        pickles = [n for n in names if n.count("/") == 1 and n.endswith("/data.pkl")]
        if len(pickles) != 1:
            kind = "numpy .npz" if any(n.endswith(".npy") for n in names) else "zip"
            raise _NotTorch(f"it is a {kind} archive without a data.pkl")
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}constants.pkl" in names:
            raise _NotTorch("it is a TorchScript program; save model.state_dict() instead")
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
        return unpickle(stream, _Tensors(len(data)).allowed, persistent_load=storage)


def _read_legacy(data: bytes) -> Any:
    """The object in the older container."""
    reasons = (reason for start, reason in _LOOKS_LIKE if data.lstrip().startswith(start))
    if not data.startswith(b"\x80"):  # PROTO, with which torch's pickles begin
        raise _NotTorch(next(reasons, "it is neither a zip archive nor torch's older format"))
    stream = io.BytesIO(data)
    if unpickle(stream, PLAIN) != _LEGACY_MAGIC:
        raise _NotTorch("it is a pickle, but torch.save did not write it")
    version, _ = unpickle(stream, {}), unpickle(stream, {})
    if version != _LEGACY_VERSION:
        raise _NotTorch(f"it is not of version {_LEGACY_VERSION} of torch's older format")
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
    return unpickle(stream, _Tensors(len(data)).allowed, persistent_load=storage)


def _read_legacy_storages(stream: io.BytesIO, file_size: int) -> dict[str, _Storage]:
    """Reads the storages, which follow the object's pickle; only that pickle has their dtypes.

    So the pickle is read here for the dtypes, and read again for the object.
    """
    declared: dict[str, tuple[np.dtype, int]] = {}

    def note(pid: Any) -> None:
        dtype, key, size, _ = _parse_storage_id(pid)
        if declared.setdefault(key, (dtype, size)) != (dtype, size):
            raise ValueError(f"storage {shown(key, limit=40)} is declared twice, differently")

    unpickle(stream, _WITHOUT_TENSORS, persistent_load=note)
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
    if type(pid) is not tuple or len(pid) not in (5, 6) or pid[0] != "storage":
        raise ForbiddenPickle("an object outside the pickle that is no storage")
    _, dtype, key, _, size = pid[:5]
    if not isinstance(dtype, np.dtype) or type(key) is not str or type(size) is not int:
        raise ValueError("a malformed storage id")
    if not 0 <= size < 2**63:
        raise ValueError(f"storage {shown(key, limit=40)} of {shown(size)} elements")
    return dtype, key, size, pid[5] if len(pid) == 6 else None


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
