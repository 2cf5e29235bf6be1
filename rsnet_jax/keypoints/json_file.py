"""Reads JSON files of other tools, and says in one line why one cannot be read."""

import json
import re
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from rsnet_jax.errors import DataError, quote
from rsnet_jax.files.paths import local_copy, require_file

LONG_LIST = 16
"""Numbers from which a list in a dict is kept as an array, which needs an eighth of the memory."""


SPACE = re.compile(r"\s*")
PIECE = 1 << 22
"""Characters of a list that are in memory at a time."""


def load_json(path: Path) -> Any:
    """The content of a JSON file; long lists of numbers in it, null included, are float32 arrays.

    Raises:
        DataError: there is no such file, or it is no JSON; the message shows how it begins.
    """
    require_file(path, DataError)
    start = b""
    try:
        with local_copy(path) as copy:
            if (elements := _elements(copy)) is not None:
                return elements
            data = copy.read_bytes()
        start = data[:1000]
        text = data.decode(json.detect_encoding(data), "surrogatepass")
        del data
        return json.loads(text.removeprefix("\ufeff"), object_hook=_with_arrays)
    except json.JSONDecodeError as error:
        at_end = not error.doc[error.pos :].strip()
        place = "it is cut short" if at_end and start.strip() else f"line {error.lineno}"
        raise DataError(f"{path}: {_diagnose(start)} ({place}: {quote(error.msg)})") from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise DataError(f"{path}: {_diagnose(start)} ({quote(error, limit=80)})") from None


def _elements(path: Path) -> list[Any] | None:
    """The elements of a file that is one list of dicts, without all of its text in memory.

    None if the file is something else, or no JSON.
    """
    with path.open(encoding="utf-8-sig") as file:
        try:
            text = file.read(PIECE)
            at = _after_space(text, 0)
            return _dicts(file, text[at + 1 :]) if text[at : at + 1] == "[" else None
        except UnicodeDecodeError:
            return None


def _dicts(file: TextIO, text: str) -> list[Any] | None:
    """The dicts of a list from behind its bracket; `text` is what was read of them already."""
    decoder = json.JSONDecoder(object_hook=_with_arrays)
    found: list[Any] = []
    at = 0
    while True:
        at = _after_space(text, at)
        if text[at : at + 1] == "]":
            return None if (text[at + 1 :] + file.read()).strip() else found
        start = _after_space(text, at + 1) if found else at
        wanted = (",", "{") if found else ("{", "{")
        if any(text[i : i + 1] not in ("", w) for i, w in zip((at, start), wanted, strict=True)):
            return None
        try:
            element, at = decoder.raw_decode(text, start)
            found.append(element)
        except json.JSONDecodeError:  # its end is not in memory yet, or it is damaged
            more = file.read(max(PIECE, len(text) - at))
            if not more:
                return None
            text, at = text[at:] + more, 0


def _after_space(text: str, at: int) -> int:
    """The place of the first character from `at` on that is no space."""
    match = SPACE.match(text, at)
    return at if match is None else match.end()


def _with_arrays(content: dict[str, Any]) -> dict[str, Any]:
    for name, value in content.items():
        if isinstance(value, list) and len(value) >= LONG_LIST and not isinstance(value[0], dict):
            try:
                with np.errstate(over="ignore"):  # to infinity, which is no number
                    content[name] = np.array(value, dtype=np.float32)
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
