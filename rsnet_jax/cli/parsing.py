"""Reading of command lines into typed options, with readable help and errors of one line."""

import contextlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, TypeVar

import tyro

from rsnet_jax.cli.complaints import readable_complaint
from rsnet_jax.cli.help_text import narrow_terminal, readable_help
from rsnet_jax.config import SETTINGS, ModelConfig, settings_class
from rsnet_jax.config.section import Section
from rsnet_jax.errors import ConfigError
from rsnet_jax.files.paths import check_client, to_path

Options = TypeVar("Options", bound=Section)
HELP = ("-h", "--help")
MODEL_PREFIX = "--model."

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


def parse(kind: type[Options], argv: Sequence[str], *, prog: str, default: Options) -> Options:
    """Reads `argv` into an instance of `kind`; with `--help` prints the help and exits.

    Raises:
        ConfigError: an option is unknown or has an impossible value.
    """
    # Without the other arguments: tyro's help leaves out what is given already.
    asks_for_help = not set(HELP).isdisjoint(argv)
    arguments = [HELP[-1]] if asks_for_help else list(argv)
    printed, complaint = io.StringIO(), io.StringIO()
    try:
        with (
            narrow_terminal(),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(complaint),
        ):
            return tyro.cli(kind, args=arguments, prog=prog, default=default, registry=PATHS)
    except SystemExit as exit_:
        if exit_.code:
            raise ConfigError(readable_complaint(complaint.getvalue())) from None
        sys.stdout.write(readable_help(printed.getvalue()))
        raise


def parse_for_defaults(kind: type[Options], argv: Sequence[str], *, prog: str) -> Options:
    """Reads the options that say where the defaults of the others come from.

    `--help` is ignored, and so are the options of the network, `--model.*`: the preset or
    checkpoint that the result names decides which of them exist.

    Raises:
        ConfigError: another option is unknown or has an impossible value.
    """
    others, _ = split_model_options(argv)
    quiet = [argument for argument in others if argument not in HELP]
    default = kind()
    return parse(_for_network(kind, default), quiet, prog=prog, default=default)


def parse_over_defaults(
    kind: type[Options], argv: Sequence[str], *, prog: str, default: Options
) -> Options:
    """Reads `argv` over `default`; with `--help` prints the help and exits.

    If `kind` is generic, its parameter is the type of the field `model`: the settings of the
    network that `--model.name` names, or else of that in `default`. Another network than that in
    `default` has its published settings as defaults.

    Raises:
        ConfigError: an option is unknown or has an impossible value.
    """
    model = _network_among(default)
    _, name = split_model_options(argv)
    if model is not None and name not in (None, model.name):
        default = default.model_copy(update={"model": settings_class(name)()})
    return parse(_for_network(kind, default), argv, prog=prog, default=default)


def _for_network(kind: type[Options], default: Options) -> type[Options]:
    """The class of the options, with the type of its field `model`, if any, as `default` has it."""
    model = _network_among(default)
    if model is None:
        return kind
    generic: Any = kind
    specific = generic[type(model)]
    specific.__doc__ = kind.__doc__  # the text at the top of the help
    return specific


def _network_among(options: Section) -> Any:
    """The settings of a network among the options, if there are any."""
    model = getattr(options, "model", None)
    return model if isinstance(model, ModelConfig) else None


def split_model_options(argv: Sequence[str]) -> tuple[list[str], str | None]:
    """Returns the arguments without `--model.*` and their values, and the value of `--model.name`.

    An option has a value unless it is the flag of a boolean field of some network.
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
