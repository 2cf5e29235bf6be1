"""The gate for what a file says about itself: plain data, bounded, and of a known form.

Text of a file becomes plain data in `files.json_text`, `files.yaml_text` and `files.safe_pickle`.
`check_plain` bounds such data before anything walks, compares or prints them; `read_fields` then
makes typed fields of them. What does not fit is an error of one line: file, field, what came, what
was wanted.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pydantic
from pydantic_core import ErrorDetails

from rsnet_jax.errors import RSNetError, StorageError, one_line, quote, shown
from rsnet_jax.files.paths import require_file, size

MOST_BYTES = 2**24
"""Largest file of settings or other descriptions that is read."""
MOST_NAME = 100
"""Longest name, in characters, of a subject, a clip or a joint."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """The largest plain data that are let through."""

    depth: int
    """Levels of containers."""
    values: int
    """Values in all, those in containers included. What two containers share counts twice."""
    text: int
    """Characters of a text, or bytes."""
    bits: int = 64
    """Bits of an integer."""


DESCRIPTION = Limits(depth=20, values=20_000, text=10_000)
"""For settings, metadata and reports."""
DATA = Limits(depth=20, values=300_000, text=1_000_000)
"""For containers of arrays."""


def check_plain(
    value: Any,
    *,
    name: str,
    error: type[RSNetError],
    limits: Limits = DESCRIPTION,
    also: type | None = None,
) -> None:
    """Refuses data that are not plain, or too large; it takes little time for data of any form.

    Plain are dicts, lists, tuples and sets of texts, numbers, booleans, None and NumPy arrays.

    Args:
        value: the data, which a file supplied.
        name: the file, for the message.
        error: what to raise.
        limits: the largest data to let through.
        also: a further type to let through.

    Raises:
        error: the data are too deep, too many or too long, or not plain.
    """
    path: list[Any] = []  # the keys that lead to the container under way
    containers: list[Iterator[tuple[Any, Any]]] = [iter([(None, value)])]
    count = 0
    while containers:
        entry = next(containers[-1], None)
        if entry is None:
            containers.pop()
            path = path[:-1]
            continue
        count += 1
        if count > limits.values:
            raise error(f"{name}: more than {limits.values:,} values, counted where they are used")
        parts = None
        key, item = entry
        for leaf in entry:
            kind = type(leaf)
            if leaf is None or kind is bool or kind is float:
                continue  # these, and what is short, need no call, which takes most of the time
            if kind is int and 0 <= leaf < 2**32:
                continue
            if kind is str and len(leaf) < 50 and len(leaf) <= limits.text and leaf.isascii():
                continue
            if leaf is item and (parts := parts_of(leaf)) is not None:
                continue
            for part in leaf if kind is tuple else (leaf,):  # a tuple is the key of a dict
                if type(part) is not also and (problem := _leaf_problem(part, limits)):
                    raise error(f"{_join(name, [*path, key])}: {problem}")
        if parts is not None:
            if len(containers) > limits.depth:
                raise error(f"{_join(name, [*path, key])}: nested beyond {limits.depth} levels")
            path = [*path, key]
            containers.append(iter(parts))


def parts_of(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """The keys and values in a container; None for what is no container."""
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, list | tuple):
        return enumerate(value)
    if isinstance(value, set | frozenset):
        return ((None, item) for item in value)
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        return enumerate(value.flat)
    return None


def _leaf_problem(value: Any, limits: Limits) -> str:
    """The reason why a value that is no container is refused; empty if it is not."""
    if isinstance(value, str | bytes | bytearray):
        if len(value) > limits.text:
            kind = "characters" if isinstance(value, str) else "bytes"
            return f"at most {limits.text:,} {kind} were wanted, not {len(value):,}"
        if isinstance(value, str) and not _is_unicode(value):
            return f"text was wanted, not {shown(value)}, which has half of a character"
    elif isinstance(value, int):
        if value.bit_length() > limits.bits:
            wanted = f"an integer of at most {limits.bits} bits was wanted"
            return f"{wanted}, not one of {value.bit_length():,}"
    elif value is not None and not isinstance(
        value, float | complex | np.ndarray | np.generic | np.dtype
    ):
        return f"plain data were wanted, not a {quote(type(value).__name__)}"
    return ""


def is_name(value: Any) -> bool:
    """True for a text that can stand in tables and messages as it is: short, printable."""
    return isinstance(value, str) and 0 < len(value) <= MOST_NAME and value.isprintable()


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _join(name: str, path: Iterable[Any]) -> str:
    """A file and a field in it: "a.npz: metadata.left[3]"."""
    field = ""
    for key in path:
        if isinstance(key, int) and not isinstance(key, bool) and key.bit_length() <= 64:
            field += f"[{key}]"
        elif key is not None:
            field += f".{quote(key, limit=60)}"
    return f"{name}: {quote(field.removeprefix('.'))}" if field else name


class Fields(pydantic.BaseModel):
    """A part of a file's description. Its fields are typed and bounded, others are refused."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)


Read = TypeVar("Read", bound=pydantic.BaseModel)


def read_fields(kind: type[Read], values: Any, *, name: str, error: type[RSNetError]) -> Read:
    """Takes the fields of a description from plain data, which `check_plain` has let through.

    Args:
        kind: the class of the result, such as a subclass of `Fields`.
        values: the data; lists stand for tuples where `kind` says so.
        name: the file, for the message.
        error: what to raise.

    Raises:
        error: a field is missing, unknown, of another type or out of bounds.
    """
    try:
        return kind.model_validate(values)
    except pydantic.ValidationError as problems:
        raise error(f"{name}: {explain(problems.errors()[0])}") from None
    except RSNetError as problem:  # of a section of the configuration
        raise error(f"{name}: {problem}") from None


def explain(problem: ErrorDetails, *, prefix: str = "") -> str:
    """One problem that pydantic found, in the words of this package: field, wanted, what came."""
    field = prefix + quote(".".join(str(part) for part in problem["loc"]), limit=100)
    if problem["type"] == "extra_forbidden":
        return f"unknown field {field}"
    if problem["type"] == "missing":
        return f"{field} is missing"
    wanted = quote(problem["msg"].removeprefix("Value error, ").removeprefix("Input "))
    if not problem["loc"] and problem["type"] == "value_error":  # a rule about several fields
        return wanted
    return f"{field + ': ' if field else ''}{wanted}, got {shown(problem['input'])}"


def read_text(path: Path, *, error: type[RSNetError], most_bytes: int = MOST_BYTES) -> str:
    """The text of a file in UTF-8.

    Args:
        path: the file.
        error: what to raise.
        most_bytes: the largest file to read.

    Raises:
        error: the file is missing, too large, unreadable or no text.
    """
    require_file(path, error)
    try:
        if size(path) > most_bytes:
            raise error(f"{path}: at most {most_bytes:,} bytes were wanted, not {size(path):,}")
        return path.read_bytes().decode("utf-8-sig")
    except StorageError:
        raise
    except OSError as cause:
        raise error(f"{path}: {quote(cause.strerror or cause)}") from None
    except UnicodeDecodeError as cause:
        raise error(f"{path}: text in UTF-8 was wanted ({one_line(cause)})") from None
