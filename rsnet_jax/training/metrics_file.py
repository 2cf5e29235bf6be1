"""`metrics.jsonl`, one line of JSON per epoch: reading it after whatever befell it, and mending it.

Each checkpoint holds the lines of the epochs before it, too (`Progress.lines`). What the checkpoint
says is true, whatever the file says; the file stands in where an earlier version saved a checkpoint
without them.
"""

import json
import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rsnet_jax.errors import OutputError
from rsnet_jax.files.outputs import atomic_write

log = logging.getLogger(__name__)

Line = dict[str, Any]
"""The figures of an epoch by name, and `epoch`, its number from 1. With several seeds, `members`
holds lists of figures by name, one per seed."""


def mend_metrics(path: Path, saved: Iterable[Any], *, epochs_done: int) -> list[Line]:
    """Makes the file hold the epochs up to `epochs_done` once each, in order; returns their lines.

    A warning says what was wrong with the file, and which epochs are lost: neither in the
    checkpoint nor in the file.

    Args:
        path: the file; it need not exist.
        saved: the lines in the checkpoint from which the run goes on.
        epochs_done: the number of epochs before that checkpoint.

    Raises:
        OutputError: the file cannot be read or written.
    """
    found, unreadable = _read(path)
    expected = range(1, epochs_done + 1)
    in_file = {line["epoch"]: line for line in found}
    in_checkpoint = {line["epoch"]: line for line in saved if is_line(line)}
    known = in_file | in_checkpoint
    lines = [known[epoch] for epoch in expected if epoch in known]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    with atomic_write(path) as partial:
        partial.write_text(text)

    counts = Counter(line["epoch"] for line in found)
    restored = [e for e in expected if e in known and in_file.get(e) != known[e]]
    remarks = [
        (restored, "restored from the checkpoint: epoch {}"),
        ([e for e in expected if counts[e] > 1], "removed where there twice: epoch {}"),
        ([e for e in expected if e not in known], "lost, and not in the checkpoint: epoch {}"),
        ([e for e in in_file if e > epochs_done], "to be trained again: epoch {}"),
    ]
    said = [remark.format(_ranges(epochs)) for epochs, remark in remarks if epochs]
    if unreadable:
        said.append(f"removed, since they were no lines of epochs: {unreadable}")
    if said:
        log.warning("%s: %s", path, "; ".join(said))
    return lines


def read_metrics(path: Path) -> list[Line]:
    """The lines of a `metrics.jsonl`, without what is no line of an epoch; [] without a file.

    Raises:
        OutputError: the file cannot be read.
    """
    return _read(path)[0]


def shows_a_checkpoint(path: Path) -> bool:
    """True if a `metrics.jsonl` is that of a run which has saved a checkpoint.

    The line of an epoch is written before the epoch is saved, so that more than one line tells.

    Raises:
        OutputError: the file cannot be read.
    """
    found, unreadable = _read(path)
    return len(found) + unreadable > 1 or any(line["epoch"] > 1 for line in found)


def is_line(value: Any) -> bool:
    """True if a value read from JSON can be the line of an epoch: finite numbers by name."""
    return (
        isinstance(value, dict)
        and all(map(_is_finite, (n for name, n in value.items() if name != "members")))
        and _are_figures_of_members(value.get("members", {}))
        and type(value.get("epoch")) is int
        and value["epoch"] >= 1
    )


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and -math.inf < value < math.inf


def _are_figures_of_members(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(figures, list) and all(map(_is_finite, figures)) for figures in value.values()
    )


def _read(path: Path) -> tuple[list[Line], int]:
    """The lines of epochs, and the number of other lines that are not blank."""
    try:
        if not path.exists():
            return [], 0
        if path.is_dir():
            raise OutputError(f"{path} is a folder; a file was wanted: move it away")
        texts = path.read_bytes().splitlines()
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror or error}") from None
    values = [_parse(text) for text in texts if text.strip()]
    lines = [value for value in values if is_line(value)]
    return lines, len(values) - len(lines)


def _parse(text: bytes) -> Any:
    """The value of a line of JSON; None if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # bytes that are no text are a ValueError too
        return None


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers for people: [1, 2, 3, 5] is "1 to 3, 5"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join(" to ".join(map(str, run)) for run in runs)
