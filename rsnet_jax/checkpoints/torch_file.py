"""Reads files of torch.save, without torch and without running code."""

import logging
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from rsnet_jax.checkpoints.torch_containers import NotTorch, read_legacy, read_zip
from rsnet_jax.errors import CheckpointError, StorageError, one_line, shown
from rsnet_jax.files.paths import require_file, to_path
from rsnet_jax.files.plain_data import DATA, check_plain, parts_of
from rsnet_jax.files.safe_pickle import ForbiddenPickle, Foreign
from rsnet_jax.files.safe_zip import ZipBomb

log = logging.getLogger(__name__)

# Training scripts wrap the state dict under one of these, in the order they are tried.
_WRAPPERS = ("state_dict", "model_state_dict", "model_pos", "model")

PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
"""What DataParallel, torch.compile, and usual names of an outer module put before names."""


def read_state_dict(path: str | Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The weights of a model by name, from a bare state dict or a training checkpoint.

    What all names begin with because a model was wrapped (`PREFIXES`) is removed.

    Raises:
        CheckpointError: see `read_torch_file`; or the file holds no state dict.
    """
    state, left_out = _read_torch_file(path)
    for _ in _WRAPPERS:  # a bounded loop, since a dict in a file can contain itself
        inner = [state[name] for name in _WRAPPERS if isinstance(state.get(name), dict)]
        state = inner[0] if inner else state
    others = {name: value for name, value in state.items() if not _is_weight(name, value)}
    if others or not state:
        if left_out:
            raise _asks_for(path, next(iter(left_out.values())))
        raise CheckpointError(f"{path} holds no state dict of tensors, but {_describe(others)}")
    _tell_of(left_out, path)
    return _without_prefixes(state)


def _without_prefixes(
    state: Mapping[str, Shaped[np.ndarray, "..."]],
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The weights by names without what all of them begin with, as often as it is there."""
    names = list(state)
    while common := [p for p in PREFIXES if all(name.startswith(p) for name in names)]:
        names = [name.removeprefix(common[0]) for name in names]
    return dict(zip(names, state.values(), strict=True))


def _is_weight(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, np.ndarray) and not value.dtype.hasobject


def _describe(entries: Mapping[Any, Any]) -> str:
    """Names and types of the first entries of a dict, or what they ask for."""
    # A name that is not a string is shown as its type: printing it could take forever.
    names = [name if isinstance(name, str) else type(name).__name__ for name in entries][:5]
    kinds = [
        value.name if isinstance(value, Foreign) else type(value).__name__
        for value in entries.values()
    ]
    found = [f"{shown(name, limit=50)} ({kind})" for name, kind in zip(names, kinds, strict=False)]
    return (", ".join(found) + (", ..." if len(entries) > 5 else "")) or "an empty dict"


def read_torch_file(path: str | Path) -> dict[Any, Any]:
    """Reads the dict that was given to torch.save; tensors and parameters become NumPy arrays.

    Every array owns its data, is C-contiguous and has the shape and dtype torch would give it;
    bfloat16 is that of ml_dtypes. Devices, hooks and `requires_grad` are dropped. Entries that ask
    for other objects are left out, and named in a warning. Such objects are not looked up, and
    nothing of the file is run.

    Raises:
        CheckpointError: the file is missing, damaged, not from torch.save, or holds no dict.
    """
    content, left_out = _read_torch_file(path)
    _tell_of(left_out, path)
    return content


def _read_torch_file(path: str | Path) -> tuple[dict[Any, Any], dict[Any, Foreign]]:
    """The dict in a file, and what the entries ask for that are left out, one object for each."""
    path = to_path(path)
    require_file(path, CheckpointError)
    try:
        data = path.read_bytes()
        content = read_zip(data) if data.startswith(b"PK") else read_legacy(data)
    except StorageError:
        raise
    except NotTorch as error:
        raise CheckpointError(f"{path} is not a PyTorch checkpoint: {error}") from error
    except ForbiddenPickle as error:
        raise _asks_for(path, Foreign(str(error))) from error
    except ZipBomb as error:
        raise CheckpointError(f"{path}: refused: {error}") from error
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{path} is damaged or cut short ({one_line(error)})") from error
    except Exception as error:  # a damaged file can make any step of the reading fail
        raise CheckpointError(f"{path} is damaged ({one_line(error)})") from error
    check_plain(content, name=str(path), error=CheckpointError, limits=DATA, also=Foreign)
    if isinstance(content, Foreign):
        raise _asks_for(path, content)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, wanted a dict of tensors")
    found = {key: next(_foreign_in((key, value)), None) for key, value in content.items()}
    left_out = {key: foreign for key, foreign in found.items() if foreign is not None}
    return {key: value for key, value in content.items() if key not in left_out}, left_out


def _foreign_in(value: Any) -> Iterator[Foreign]:
    """What a value of a file asks for, its parts included."""
    if isinstance(value, Foreign):
        yield value
    for key, part in parts_of(value) or ():
        yield from _foreign_in(part)
        if isinstance(key, Foreign | tuple):
            yield from _foreign_in(key)


def _asks_for(path: str | Path, foreign: Foreign) -> CheckpointError:
    return CheckpointError(
        f"{path} asks for {foreign.name}: refused, and nothing of it was run; only tensors and "
        "plain data are read, so save model.state_dict(), not the model"
    )


def _tell_of(left_out: Mapping[Any, Foreign], path: str | Path) -> None:
    if left_out:
        log.warning(
            "%s: left out what is neither a tensor nor plain data: %s; nothing of it was run",
            path,
            _describe(left_out),
        )
