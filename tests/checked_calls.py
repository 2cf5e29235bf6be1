"""The checker of the types and shapes in signatures, for jaxtyping's import hook."""

import io
from pathlib import Path, PurePath
from typing import BinaryIO

from beartype import BeartypeConf, FrozenDict, beartype

AS_CHECKED = {
    # Paths in object stores have the methods of a `Path` and are none.
    Path: Path | PurePath,
    # The protocol of type checkers, which nothing inherits from.
    BinaryIO: io.IOBase,
}
check = beartype(conf=BeartypeConf(is_pep484_tower=True, hint_overrides=FrozenDict(AS_CHECKED)))
