"""Reads YAML of untrusted origin as bounded plain data.

PyYAML splits the text into events. Its own makers of objects are not used: they follow aliases and
merge keys, which unfold without limit, and fail in many ways on odd scalars.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from rsnet_jax.errors import RSNetError, quote, shown
from rsnet_jax.files.plain_data import DESCRIPTION, check_plain, read_text

MOST_CHARACTERS = 100_000
"""Largest text that is read; PyYAML takes seconds for more."""

_SCALARS: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"~|null|Null|NULL|"), lambda text: None),
    (re.compile(r"true|True|TRUE|yes|Yes|YES|on|On|ON"), lambda text: True),
    (re.compile(r"false|False|FALSE|no|No|NO|off|Off|OFF"), lambda text: False),
    (re.compile(r"[-+]?(0|[1-9][0-9_]{,99})"), lambda text: int(text.replace("_", ""))),
    (
        re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?"),
        lambda text: float(text.replace("_", "")),
    ),
    (re.compile(r"[-+]?\.(inf|Inf|INF)"), lambda text: float(text.replace(".", ""))),
    (re.compile(r"\.(nan|NaN|NAN)"), lambda text: float("nan")),
)
"""Scalars without quotes -> their values; all others are texts. As PyYAML has it, with two
exceptions: numbers are decimal (no 0x1f, 1:30 or 010), and 1e-3 is one."""


def read_yaml(path: Path, *, error: type[RSNetError]) -> Any:
    """The plain data in a small YAML file; raises like `parse_yaml`, and if it cannot be read."""
    return parse_yaml(read_text(path, error=error), name=str(path), error=error)


def parse_yaml(text: str, *, name: str, error: type[RSNetError]) -> Any:
    """The plain data in a YAML text: lists, scalars, and dicts whose keys are texts.

    Args:
        text: the text.
        name: the file, for the message.
        error: what to raise.

    Raises:
        error: the text is not YAML, has anchors, aliases, tags, several documents or other keys
            than texts, names a key twice, or is larger than the limits of descriptions.
    """
    if len(text) > MOST_CHARACTERS:
        raise error(
            f"{name}: at most {MOST_CHARACTERS:,} characters were wanted, not {len(text):,}"
        )
    reader = _Reader()
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            reader.take(event)
    except yaml.MarkedYAMLError as cause:
        where = cause.problem_mark or cause.context_mark
        line = f"line {where.line + 1}: " if where else ""
        problem = quote(cause.problem or cause.context or cause)
        raise error(f"{name}: not readable YAML: {line}{problem}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as cause:  # ValueError: "\UFFFFFFFF"
        raise error(f"{name}: not readable YAML: {quote(cause)}") from None
    except _Unwanted as cause:
        raise error(f"{name}: {cause}") from None
    check_plain(reader.value, name=name, error=error)
    return reader.value


class _Unwanted(Exception):
    """YAML that is not read; the message says what and in which line."""


class _Reader:
    """Makes plain data of PyYAML's events, without recursion."""

    def __init__(self):
        self.value: Any = None
        self._containers: list[Any] = []
        self._keys: list[Any] = []  # for each container the key whose value comes next
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        """Takes the next event.

        Raises:
            _Unwanted: the YAML is more than plain data.
        """
        line = f"line {event.start_mark.line + 1}"
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _Unwanted(f"{line}: one YAML document was wanted, not several")
        elif isinstance(event, yaml.NodeEvent):
            if event.anchor is not None:
                kind = "alias *" if isinstance(event, yaml.AliasEvent) else "anchor &"
                raise _Unwanted(f"{line}: {kind}{quote(event.anchor)}: plain YAML was wanted")
            tag = getattr(event, "tag", None)
            if tag is not None:
                raise _Unwanted(f"{line}: tag {quote(tag)}: plain YAML was wanted")
            self._take_node(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._containers.pop()
            self._keys.pop()

    def _take_node(self, event: Any, line: str) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._add(_scalar(event) if event.implicit[0] else event.value, line)
            return
        container: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._add(container, line)
        if len(self._containers) == DESCRIPTION.depth:
            raise _Unwanted(f"{line}: nested beyond {DESCRIPTION.depth} levels")
        self._containers.append(container)
        self._keys.append(None)

    def _add(self, value: Any, line: str) -> None:
        """Puts a value where it belongs."""
        if not self._containers:
            self.value = value
            return
        container, key = self._containers[-1], self._keys[-1]
        if isinstance(container, list):
            container.append(value)
        elif key is not None:
            container[key] = value
            self._keys[-1] = None
        elif not isinstance(value, str):
            raise _Unwanted(f"{line}: the name of a setting was wanted, not {shown(value)}")
        elif value in container:
            raise _Unwanted(f"{line}: {shown(value)} is there twice")
        else:
            self._keys[-1] = value


def _scalar(event: yaml.ScalarEvent) -> Any:
    """The value of a scalar without quotes."""
    for pattern, value in _SCALARS:
        if pattern.fullmatch(event.value):
            return value(event.value)
    return event.value
