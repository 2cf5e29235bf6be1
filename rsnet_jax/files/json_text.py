"""Reads JSON of untrusted origin as bounded plain data."""

import collections
import json
from pathlib import Path
from typing import Any

from rsnet_jax.errors import RSNetError, quote, shown
from rsnet_jax.files.plain_data import DESCRIPTION, MOST_BYTES, Limits, check_plain, read_text


def parse_json(
    text: str | bytes, *, name: str, error: type[RSNetError], limits: Limits = DESCRIPTION
) -> Any:
    """The plain data in a JSON text.

    Args:
        text: the text; bytes are read as UTF-8.
        name: the file, for the message.
        error: what to raise.
        limits: see `files.plain_data.check_plain`.

    Raises:
        error: the text is not JSON, names a field twice, or is larger than the limits.
    """
    if len(text) > MOST_BYTES:
        raise error(f"{name}: at most {MOST_BYTES:,} characters were wanted, not {len(text):,}")
    try:
        value = json.loads(
            text.decode() if isinstance(text, bytes) else text,
            parse_int=_integer,
            object_pairs_hook=_fields,
        )
    except RecursionError:
        raise error(f"{name}: nested beyond {limits.depth} levels") from None
    except UnicodeDecodeError as cause:
        raise error(f"{name}: not JSON: {quote(cause)}") from None
    except ValueError as cause:
        raise error(f"{name}: not readable JSON: {quote(cause)}") from None
    check_plain(value, name=name, error=error, limits=limits)
    return value


def read_json(path: Path, *, error: type[RSNetError], limits: Limits = DESCRIPTION) -> Any:
    """The plain data in a small JSON file; raises like `parse_json`, and if it cannot be read."""
    return parse_json(read_text(path, error=error), name=str(path), error=error, limits=limits)


def _integer(digits: str) -> int:
    if len(digits) > 100:  # far more than `Limits.bits`; Python itself refuses 4300
        raise ValueError(f"an integer of {len(digits):,} digits")
    return int(digits)


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        (twice, _), *_ = collections.Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the field {shown(twice)} is there twice")
    return fields
