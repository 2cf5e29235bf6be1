"""Command-line options from typed classes, with help worth reading and errors of one line."""

import contextlib
import dataclasses
import io
import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, TypeVar

import tyro

from rsnet_jax.config import SETTINGS, ModelConfig, RSNetConfig, settings_class
from rsnet_jax.errors import ConfigError
from rsnet_jax.files.paths import check_client, to_path

Options = TypeVar("Options")
Model = TypeVar("Model", bound=ModelConfig)
"""The settings of the network among the options of a command."""
DEFAULT_MODEL: Any = RSNetConfig
"""What `Model` is where nothing says which network is meant."""
HELP = ("-h", "--help")
MODEL_PREFIX = "--model."
CheckpointArgument = Annotated[
    Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="CHECKPOINT")
]
Step = int | Literal["best", "latest"]
"""Which checkpoint of a run; the default is the best by validation MPJPE."""

# tyro frames its messages: a title, a rule, the message, rules around hints.
_RULE = re.compile(r"^\s*[-─]{5,}\s*$")
_FRAME = re.compile(r"[│╭╮╰╯]")

_UNKNOWN = re.compile(r"^Unrecognized options: (.*)")
_CHOICE = re.compile(r"^invalid choice '(.*)' for argument '(\S+)'\. Expected one of \((.*)\) ?\.")
_INVALID = re.compile(r"^Error parsing (\S+): .*?(?:\['(.*?)'\]|: '(.*)'$)")
_MISSING = re.compile(r"^Missing value for argument '(\S+)'")
_TYPE = re.compile(r"no type matching \{None\}\|(\w+)|literal for (int)\(\)|to (float)")
_TYPES = {"INT": "a whole number", "int": "a whole number", "FLOAT": "a number"}

_HELP_OF_HELP = "show this help message"
_NO_DEFAULT = re.compile(r" ?\(default: (None)?\)")

PATHS = tyro.constructors.ConstructorRegistry()
"""Makes every option that is a path one of this machine or of an object store."""


@PATHS.primitive_rule
def _paths(
    info: tyro.constructors.PrimitiveTypeInfo,
) -> tyro.constructors.PrimitiveConstructorSpec[Path] | None:
    if info.type is not Path:
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda words: _reachable(words[0]),
        is_instance=lambda value: isinstance(value, PurePath),
        str_from_instance=lambda path: [str(path)],
    )


def _reachable(word: str) -> Path:
    path = to_path(word)
    check_client(path)
    return path


def parse(kind: Any, argv: Sequence[str], *, prog: str, default: Options) -> Options:
    """Reads `argv` into an instance of `kind`; `--help` prints and exits.

    Raises:
        ConfigError: an option is unknown or its value cannot be meant.
    """
    printed, complaint = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaint):
            return tyro.cli(kind, args=list(argv), prog=prog, default=default, registry=PATHS)
    except SystemExit as exit_:
        if exit_.code:
            raise ConfigError(one_line(complaint.getvalue())) from None
        sys.stdout.write(readable_help(printed.getvalue()))
        raise


def parse_for_defaults(kind: type[Options], argv: Sequence[str], *, prog: str) -> Options:
    """Reads the options that tell where the defaults of the others come from.

    `--help` is not obeyed, and options of the network, `--model.*`, are left out: which of them
    there are depends on the preset or checkpoint that the result names.

    Raises:
        ConfigError: another option is unknown or its value cannot be meant.
    """
    others, _ = split_model_options(argv)
    quiet = [argument for argument in others if argument not in HELP]
    default = kind()
    return parse(_for_network(kind, default), quiet, prog=prog, default=default)


def parse_over_defaults(
    kind: type[Options], argv: Sequence[str], *, prog: str, default: Options
) -> Options:
    """Reads `argv` over `default`; `--help` prints and exits.

    If `kind` is generic, it has a field `model` of its parameter's type: the settings of the
    network that `--model.name` names, or else of that in `default`. Another network than that in
    `default` has its published settings as defaults.

    Raises:
        ConfigError: an option is unknown or its value cannot be meant.
    """
    own: Any = default
    _, name = split_model_options(argv)
    if name is not None and hasattr(own, "model") and name != own.model.name:
        default = dataclasses.replace(own, model=settings_class(name)())
    return parse(_for_network(kind, default), argv, prog=prog, default=default)


def _for_network(kind: Any, default: Any) -> Any:  # a class, or a generic one of a network
    """The class of the options, with the type of its field `model`, if any, as `default` has it."""
    model = getattr(default, "model", None)
    return kind if model is None else kind[type(model)]


def split_model_options(argv: Sequence[str]) -> tuple[list[str], str | None]:
    """The arguments without the options `--model.*` and their values; the value of `--model.name`.

    Source of the number of values: a boolean field of any network is a flag without one.
    """
    others, name = [], None
    waiting = list(argv)
    while waiting:
        argument = waiting.pop(0)
        if not argument.startswith(MODEL_PREFIX):
            others.append(argument)
            continue
        option, equals, value = argument.removeprefix(MODEL_PREFIX).partition("=")
        option = option.replace("_", "-")
        if not equals and option not in _model_flags() and waiting and waiting[0][:2] != "--":
            value = waiting.pop(0)
        if option == "name":
            name = value or None
    return others, name


def _model_flags() -> set[str]:
    """The options of networks that take no value: `double-gelu` and `no-double-gelu`, ..."""
    names = {
        name.replace("_", "-")
        for settings in SETTINGS.values()
        for name, field in settings.model_fields.items()
        if field.annotation is bool
    }
    return names | {f"no-{name}" for name in names}


def check_seed(seed: int | None, *, name: str) -> None:
    """Raises a ConfigError for a number that cannot be a seed."""
    if seed is not None and not 0 <= seed < 2**32:
        raise ConfigError(f"{name}: 0 to 2**32 - 1 was wanted, not {seed}")


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
    text = plain_words(messages[1] if len(messages) > 1 else "".join(messages))
    for message in messages:
        if match := re.search(r"Perhaps you meant:? *(--\S+)", message):
            text += f" (perhaps {match.group(1)}?)"
            break
    return text or "the command line cannot be understood; try --help"


def plain_words(message: str) -> str:
    """tyro's message in the manner of ours: the option, what was wanted, what came."""
    if match := _UNKNOWN.match(message):
        return f"not understood: {match.group(1).replace(', ', ' ')}; --help lists the options"
    if match := _CHOICE.match(message):
        came, option, choices = match.groups()
        wanted = [choice.strip(" '") for choice in choices.split(",")]
        wanted = ", ".join(choice for choice in wanted if choice not in ("", "None"))
        return f"{option}: one of {wanted} was wanted, not {came!r}"
    if match := _INVALID.match(message):
        option, came = match.group(1), match.group(2) or match.group(3)
        kind = _TYPE.search(message)
        wanted = _TYPES.get(next(filter(None, kind.groups()), "") if kind else "", "a number")
        return f"{option}: {wanted} was wanted, not {came!r}"
    if match := _MISSING.match(message):
        return f"{match.group(1)}: a value was wanted after it"
    return message


def readable_help(text: str) -> str:
    """tyro's help without its marks for optional values and without the line breaks of our source.

    What is told of an option stands in one column, beside or below the option.
    """
    lines = text.splitlines()
    column = max((line.find(_HELP_OF_HELP) for line in lines), default=-1)
    width = max((len(line) for line in lines if _RULE.match(line)), default=80)
    done: list[str] = []
    label, told = "", []

    def finish_entry() -> None:
        words = _NO_DEFAULT.sub("", " ".join(told))
        indent = " " * column
        wrapped = textwrap.wrap(words, width, initial_indent=indent, subsequent_indent=indent)
        if wrapped:
            done.append(label.ljust(column) + wrapped[0][column:])
            done.extend(wrapped[1:])
        told.clear()

    for line in map(_without_marks, lines):
        words = line[column:].strip()
        is_entry = line.startswith("  ") and (
            not line[:column].strip() or line[:column][-2:] == "  "
        )
        if column > 0 and words and is_entry:
            if line[:column].strip() or not told:
                finish_entry()
                label = line[:column].rstrip()
            told.append(words)
        else:
            finish_entry()
            is_prose = line[:1].isalnum() and not line.startswith("usage:")
            done.extend(textwrap.wrap(line, width) if is_prose else [line])
    finish_entry()
    return "\n".join(done) + "\n"


def _without_marks(line: str) -> str:
    """Drops `{None}|` and `None,` of options that may be left out; the columns stay."""
    if line.startswith("usage:"):
        return re.sub(r" +", " ", line.replace("{None}|", "").replace("{None,", "{")).rstrip()
    line = re.sub(r"\{None\}\|(\S+)", lambda match: match.group(1) + " " * 7, line)
    line = re.sub(r"\{None,(\S+)", lambda match: "{" + match.group(1) + " " * 5, line)
    return line.rstrip()
