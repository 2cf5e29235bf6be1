"""The texts of `--help`: every option of every command has one that makes sense alone."""

import importlib
import inspect
import os
import re

import pytest
from command_list import COMMANDS

from rsnet_jax.cli.options import CommandOptions
from rsnet_jax.config import SETTINGS
from rsnet_jax.config.section import Section

FRAGMENT = re.compile(r"(Of|Which|Whether|What|How|Whose|When|Where)\b")
"""A first word that completes a sentence which the reader cannot see."""


def classes_of(command):
    """The class of a command's options, once per network if there is a section `model`."""
    module = importlib.import_module(COMMANDS[command])
    [kind] = (
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, CommandOptions)
        and value.__module__ == module.__name__
    )
    if kind.__pydantic_generic_metadata__["parameters"]:
        return {name: kind[settings] for name, settings in SETTINGS.items()}
    return {"": kind}


def texts_of(kind, prefix=""):
    """The help text of each option of a class by the option's name, sections included."""
    for name, field in kind.model_fields.items():
        option = f"{prefix}{name.removesuffix('_file')}".replace("_", "-")
        if inspect.isclass(field.annotation) and issubclass(field.annotation, Section):
            yield option, field.description or inspect.getdoc(field.annotation)
            yield from texts_of(field.annotation, f"{option}.")
        else:
            yield option, field.description


CASES = [(command, network) for command in COMMANDS for network in classes_of(command)]


@pytest.mark.parametrize(("command", "network"), CASES)
def test_help_texts_are_sentences_that_are_printed(cli, monkeypatch, command, network):
    monkeypatch.setenv("COLUMNS", "80")
    argv = [] if not network else ["--model.name", network]
    code, printed, err = cli(*command.split(), *argv, "--help")
    assert (code, err) == (0, "")
    kind = classes_of(command)[network]
    printed_words = " ".join(printed.split())
    texts = dict(texts_of(kind))
    for option, text in [*texts.items(), (command, inspect.getdoc(kind))]:
        assert text, f"{option}: no help text"
        words = " ".join(re.sub(r"\n\s*\n.*", "", text, flags=re.DOTALL).split())
        assert not FRAGMENT.match(words), f"{option}: {words}"
        assert words.endswith("."), f"{option}: {words}"
        assert words in printed_words, f"{option}: {words}"
    options = set(re.findall(r"^  (?:-n N, )?--([a-z][\w.-]*)", printed, re.MULTILINE))
    sections = {option.partition(".")[0] for option in texts if "." in option}
    positional = {"preset", "folder", "input", "entries"}
    positional |= {"checkpoint"} if command != "predict" else set()
    assert options == set(texts) - sections - positional


@pytest.mark.parametrize(("columns", "width"), [(80, 80), (200, 100)])
def test_lines_of_the_help_fit_the_terminal_and_can_be_read(cli, monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", str(columns))
    for command in COMMANDS:
        printed = cli(*command.split(), "--help")[1]
        assert max(map(len, printed.splitlines())) <= width, command
        groups = re.findall(r"^ (\w.*)", printed, re.MULTILINE)
        assert groups and all(re.fullmatch(r"(\w+ )?(options|arguments)", g) for g in groups), (
            groups
        )
    assert os.environ["COLUMNS"] == str(columns)


def test_arguments_without_a_name_come_first_in_the_usage(cli):
    assert cli("train", "--help")[1].startswith("usage: rsnet-jax train [-h] [PRESET] [OPTIONS]\n")
    for argv in (["smoke"], ["smoke", "--seed", "1"]):  # also where one is given
        assert "[PRESET]" in cli("train", *argv, "--help")[1]


def test_help_on_a_terminal_of_one_column(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1")
    code, told, _ = cli("info", "--help")
    assert code == 0 and "CHECKPOINT" in told
    assert max(len(line) for line in told.splitlines()[1:]) <= 40  # below the usage
