"""tyro's help made readable: no frames, no marks for optional values, one column of text."""

import contextlib
import os
import re
import shutil
import textwrap
from collections.abc import Iterator

from rsnet_jax.cli.complaints import RULE

MIN_COLUMNS, MAX_COLUMNS = 40, 100
_HELP_OF_HELP = "show this help message"
_NO_DEFAULT = re.compile(r" ?\(default: (None)?\)")


@contextlib.contextmanager
def narrow_terminal() -> Iterator[None]:
    """Tells tyro of a terminal of `MIN_COLUMNS` to `MAX_COLUMNS` columns, whatever is there.

    In one or two columns, tyro never ends. From 130 columns on, it prints the groups of options
    side by side, which `readable_help` would take for the texts of options.
    """
    before = os.environ.get("COLUMNS")
    columns = shutil.get_terminal_size().columns
    os.environ["COLUMNS"] = str(max(MIN_COLUMNS, min(columns, MAX_COLUMNS)))
    try:
        yield
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before


def readable_help(text: str) -> str:
    """The help without the marks of optional values and without the line breaks of our source.

    The texts of options stand in one column, beside or below the option.
    """
    lines = text.splitlines()
    column = max((line.find(_HELP_OF_HELP) for line in lines), default=-1)
    width = max((len(line) for line in lines if RULE.match(line)), default=80)
    done: list[str] = []
    label, words = "", []

    def finish_entry() -> None:
        text = _NO_DEFAULT.sub("", " ".join(words))
        indent = " " * column
        wrapped = textwrap.wrap(
            text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )
        if wrapped:
            done.append(label.ljust(column) + wrapped[0][column:])
            done.extend(wrapped[1:])
        words.clear()

    for line in map(_without_marks, lines):
        found = line[column:].strip()
        is_entry = line.startswith("  ") and (
            not line[:column].strip() or line[:column][-2:] == "  "
        )
        if column > 0 and found and is_entry:
            if line[:column].strip() or not words:
                finish_entry()
                label = line[:column].rstrip()
            words.append(found)
        else:
            finish_entry()
            is_prose = line[:1].isalnum() and not line.startswith("usage:")
            done.extend(textwrap.wrap(line, width, break_on_hyphens=False) if is_prose else [line])
    finish_entry()
    return "\n".join(done) + "\n"


def _without_marks(line: str) -> str:
    """Drops `{None}|` and `None,` of options that may be left out; the columns stay.

    In the usage line, arguments without a name come before the options, which are not listed.
    """
    if line.startswith("usage:"):
        line = line.replace("{None}|", "").replace("{None,", "{")
        line = re.sub(r"( \[--[^\[\]]*\])+", " [OPTIONS]", " ".join(line.split()))
        return re.sub(r"(\[OPTIONS\]) (.+)", r"\2 \1", line)
    line = re.sub(r"\{None\}\|(\S+)", lambda match: match.group(1) + " " * 7, line)
    line = re.sub(r"\{None,(\S+)", lambda match: "{" + match.group(1) + " " * 5, line)
    return line.rstrip()
