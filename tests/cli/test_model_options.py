"""The options --model.*, which depend on the network."""

from pathlib import Path
from typing import Annotated, Generic

import pydantic
import pytest
import tyro

from rsnet_jax.cli.options import DEFAULT_MODEL, CommandOptions, Model
from rsnet_jax.cli.parsing import parse_for_defaults, parse_over_defaults, split_model_options
from rsnet_jax.config import RSNetConfig, SemGCNConfig
from rsnet_jax.errors import ConfigError


class Options(CommandOptions, Generic[Model]):
    """Options of a command."""

    preset: Annotated[Path | None, tyro.conf.Positional] = None
    count: int = 3
    model: Model = pydantic.Field(default_factory=DEFAULT_MODEL)


@pytest.mark.parametrize(
    ("argv", "others", "name"),
    [
        ([], [], None),
        (["p.yaml", "--model.width", "64", "--count", "1"], ["p.yaml", "--count", "1"], None),
        (["--model.width=64", "p.yaml"], ["p.yaml"], None),
        (["--model.no-double-gelu", "p.yaml"], ["p.yaml"], None),
        (["--model.double_gelu", "p.yaml"], ["p.yaml"], None),
        (["--model.non-local", "p.yaml"], ["p.yaml"], None),
        (["--model.dropout", "-1", "p.yaml"], ["p.yaml"], None),
        (["--model.dropout", "--count", "1"], ["--count", "1"], None),
        (["--model.name", "semgcn", "p.yaml"], ["p.yaml"], "semgcn"),
        (["p.yaml", "--model.name=rsnet", "--model.name=semgcn"], ["p.yaml"], "semgcn"),
        (["p.yaml", "--model.name"], ["p.yaml"], None),
    ],
)
def test_model_options_are_told_from_the_others(argv, others, name):
    assert split_model_options(argv) == (others, name)


def read(*argv, model):
    return parse_over_defaults(Options, argv, prog="x", default=Options(model=model))


def test_defaults_decide_the_network():
    assert read(model=SemGCNConfig(width=5)).model == SemGCNConfig(width=5)
    got = read("--model.blocks", "1", "--model.non-local", model=SemGCNConfig(width=5)).model
    assert got == SemGCNConfig(width=5, blocks=1, non_local=True)
    got = read("--count", "1", "--model.no-double-gelu", model=RSNetConfig(width=5))
    assert (got.count, got.model) == (1, RSNetConfig(width=5, double_gelu=False))


def test_the_name_on_the_command_line_decides_before_the_defaults():
    got = read("--model.blocks", "1", "--model.name", "semgcn", model=RSNetConfig(width=5)).model
    assert got == SemGCNConfig(blocks=1)  # a width of RS-Net means something else
    assert read("--model.name", "rsnet", model=RSNetConfig(width=5)).model == RSNetConfig(width=5)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--model.hops", "3"], "not understood: --model.hops"),
        (["--model.name", "nope"], "model.name: one of rsnet, semgcn.* was wanted, got 'nope'"),
        (["--model.name"], "--model.name: a value was wanted after it"),
        (["--model.width", "0"], "model.width: .* got 0"),
    ],
)
def test_options_of_another_network_are_refused(argv, message):
    with pytest.raises(ConfigError, match=message):
        read(*argv, model=SemGCNConfig())


def test_defaults_are_looked_for_without_knowing_the_network():
    argv = ["--model.non-local", "p.yaml", "--model.widht", "7", "--help", "--count", "1"]
    got = parse_for_defaults(Options, argv, prog="x")
    assert (got.preset, got.count) == (Path("p.yaml"), 1)


def test_help_lists_the_settings_of_the_network(cli):
    _, rsnet, _ = cli("train", "configs/smoke.yaml", "--help")
    assert "--model.hops" in rsnet and "--model.non-local" not in rsnet
    for argv in (["configs/semgcn_gt.yaml"], ["--model.name", "semgcn"]):
        code, out, err = cli("train", *argv, "--help")
        assert (code, err) == (0, "")
        assert "--model.non-local" in out and "--model.hops" not in out
        assert "{semgcn}" in out
    assert "The network SemGCN." in cli("plan", "--config", "semgcn_gt", "--help")[1]
