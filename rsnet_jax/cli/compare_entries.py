"""What `rsnet-jax compare` is given: `[NAME=]PATH[,PATH ...]`, and options `NAME=VALUE`."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from rsnet_jax.checkpoints.members import Members
from rsnet_jax.cli.given_network import load_given_weights
from rsnet_jax.errors import ConfigError, quote, shown
from rsnet_jax.evaluation.compare.comparison import Entry
from rsnet_jax.evaluation.compare.predictions import Units, read_predictions
from rsnet_jax.files.paths import check_client, is_remote, to_path

PREDICTIONS = ".npz"
SUFFIXES = (".pth.tar", ".pth", ".safetensors", PREDICTIONS)


class Named(NamedTuple):
    """Paths that are compared under one name."""

    name: str
    paths: tuple[Path, ...]


def parse_entries(texts: Sequence[str]) -> list[Named]:
    """The names and paths of all entries; names that are not given are made of the paths.

    Raises:
        ConfigError: nothing is given, a path or name is empty, or two entries have one name.
    """
    if not texts:
        raise ConfigError(
            "what is compared? Give checkpoints, or predictions of other programs (.npz)"
        )
    entries = [_parse_entry(text) for text in texts]
    short = [entry.name or _name_of(entry.paths) for entry in entries]
    names = [
        name if entry.name or short.count(name) == 1 else ",".join(map(str, entry.paths))
        for entry, name in zip(entries, short, strict=True)
    ]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{quote(name)} is given twice; NAME=PATH gives it another name")
    return [Named(name, entry.paths) for name, entry in zip(names, entries, strict=True)]


def _parse_entry(text: str) -> Named:
    """An entry, with the name "" if it has none. A path that exists as it stands is one path."""
    name, equals, rest = text.partition("=")
    if not equals or "/" in name or _is_there(text):
        name, rest = "", text
    elif not name:
        raise ConfigError(f"a name was wanted before =, in {shown(text)}")
    words = [rest] if _is_there(rest) else rest.split(",")
    if not all(words):
        raise ConfigError(f"PATH or PATH,PATH was wanted, not {shown(rest)}")
    paths = tuple(to_path(word) for word in words)
    for path in paths:
        check_client(path)
    return Named(name, paths)


def _is_there(text: str) -> bool:
    path = to_path(text)
    return not is_remote(path) and path.exists()


def _name_of(paths: Sequence[Path]) -> str:
    """A name for paths: their last part without suffix; of several what they begin with."""
    names = [path.name for path in paths]
    for number, name in enumerate(names):
        for suffix in SUFFIXES:
            names[number] = names[number].removesuffix(suffix)
        names[number] = names[number] or name
    common = os.path.commonprefix(names).rstrip("-_. ")
    return common or names[0]


def value_for(values: Sequence[str], name: str, *, known: Sequence[str]) -> str | None:
    """The value that options `NAME=VALUE`, or `VALUE` for all, give to an entry.

    Raises:
        ConfigError: a name is not that of an entry.
    """
    found = None
    for text in values:
        key, equals, value = text.partition("=")
        if not equals:
            found = found or text
            continue
        if key not in known:
            raise ConfigError(
                f"{shown(text)}: no entry is called {quote(key)}; there are {', '.join(known)}"
            )
        if key == name:
            found = value
    return found


def load_entry(
    entry: Named,
    *,
    model: str | None,
    refine: str | None,
    step: int | Literal["best", "latest"] | None,
    units: Units,
) -> Entry:
    """Reads the weights or predictions of an entry.

    Raises:
        CheckpointError: a path holds no readable weights.
        DataError: a file holds no predictions.
        ConfigError: an option is for weights, but these are predictions; see `Entry`.
    """
    if any(path.suffix.lower() == PREDICTIONS for path in entry.paths):
        for option, value in (("model", model), ("refine", refine)):
            if value is not None:
                raise ConfigError(f"{option}: {entry.name} is a file of predictions, no weights")
        stored = tuple(read_predictions(path, units=units) for path in entry.paths)
        return Entry(entry.name, stored)
    refinement = None if refine is None else to_path(refine)
    loaded = [
        load_given_weights(path, refine=refinement, step=step, model=model) for path in entry.paths
    ]
    networks = [one.each() if isinstance(one, Members) else (one,) for one in loaded]
    return Entry(entry.name, tuple(itertools.chain.from_iterable(networks)))
