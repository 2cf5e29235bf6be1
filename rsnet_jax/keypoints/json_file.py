"""Reads JSON files of other tools, and says in one line why one cannot be read."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from rsnet_jax.errors import DataError, quote
from rsnet_jax.files.paths import local_copy, require_file

LONG_LIST = 16
"""Numbers from which a list in a dict is kept as an array, which needs a fourth of the memory."""


def load_json(path: Path) -> Any:
    """The content of a JSON file; long lists of numbers in it, null included, are float64 arrays.

    Raises:
        DataError: there is no such file, or it is no JSON; the message shows how it begins.
    """
    require_file(path, DataError)
    with local_copy(path) as copy:
        data = copy.read_bytes()
    start = data[:1000]
    try:
        text = data.decode(json.detect_encoding(data), "surrogatepass")
        del data  # of a long recording, hundreds of megabytes
        return json.loads(text.removeprefix("\ufeff"), object_hook=_with_arrays)
    except json.JSONDecodeError as error:
        at_end = not error.doc[error.pos :].strip()
        place = "it is cut short" if at_end and start.strip() else f"line {error.lineno}"
        raise DataError(f"{path}: {_diagnose(start)} ({place}: {quote(error.msg)})") from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise DataError(f"{path}: {_diagnose(start)} ({quote(error, limit=80)})") from None


def _with_arrays(content: dict[str, Any]) -> dict[str, Any]:
    for name, value in content.items():
        if isinstance(value, list) and len(value) >= LONG_LIST and not isinstance(value[0], dict):
            try:
                content[name] = np.array(value, dtype=np.float64)
            except (TypeError, ValueError, OverflowError):  # something else, or lists of texts
                continue
    return content


def _diagnose(data: bytes) -> str:
    """What a file is that is no JSON, from its first bytes."""
    start = data.lstrip()[:60]
    if not start:
        return "nothing but space in it"
    if start[:1] == b"<":
        return "not JSON but a web page; download the file itself"
    if start.startswith(b"version https://git-lfs"):
        return "not the data but its Git LFS pointer; run `git lfs pull`"
    text = quote(start.decode("utf-8", "replace"), limit=40)
    if start[:1] in b"[{":
        return f"damaged JSON, which begins with {text}"
    return f"not JSON; it begins with {text}"
