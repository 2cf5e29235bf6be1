"""Command-line options from typed classes, with help worth reading and errors of one line."""

import contextlib
import io
import re
import sys
from collections.abc import Sequence
from typing import TypeVar

import tyro

from rsnet_jax.errors import ConfigError

Options = TypeVar("Options")

# tyro frames its messages: a title, a rule, the message, rules around hints.
_RULE = re.compile(r"^\s*[-─]{5,}\s*$")
_FRAME = re.compile(r"[│╭╮╰╯]")
_OPTIONAL = re.compile(r"\{None\}\|(\S+)")


def parse(kind: type[Options], argv: Sequence[str], *, prog: str, default: Options) -> Options:
    """Reads `argv` into an instance of `kind`; `--help` prints and exits.

    Raises:
        ConfigError: an option is unknown or its value cannot be meant.
    """
    printed, complaint = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaint):
            return tyro.cli(kind, args=list(argv), prog=prog, default=default)
    except SystemExit as exit_:
        if exit_.code:
            raise ConfigError(one_line(complaint.getvalue())) from None
        sys.stdout.write(readable_help(printed.getvalue()))
        raise


def one_line(complaint: str) -> str:
    """What tyro says in a frame, as one line: the message, and its first suggestion if any."""
    blocks: list[list[str]] = [[]]
    for line in complaint.splitlines():
        line = _FRAME.sub("", line)
        if _RULE.match(line):
            blocks.append([])
        elif line.strip():
            blocks[-1].append(line.strip())
    messages = [" ".join(block) for block in blocks if block]
    text = messages[1] if len(messages) > 1 else "".join(messages)
    for message in messages:
        if match := re.search(r"Perhaps you meant:? *(--\S+)", message):
            text += f" (perhaps {match.group(1)}?)"
            break
    return text or "the command line cannot be understood; try --help"


def readable_help(text: str) -> str:
    """Drops the `{None}|` that tyro shows for options that may be left out."""
    text = _OPTIONAL.sub(lambda match: match.group(1) + " " * len("{None}|"), text)
    return text.replace(" (default: None)", "").replace("(default: None)", "")
