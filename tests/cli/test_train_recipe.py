"""`train --recipe`: one network by the recipe of another."""

import importlib
import re

import pytest

from rsnet_jax.config import Config, find_preset, load_preset
from rsnet_jax.errors import ConfigError


@pytest.fixture
def started(cli, monkeypatch):
    """The configuration and the workdir with which a command would train."""
    train = importlib.import_module("rsnet_jax.cli.train")

    def run(*argv):
        seen = []
        monkeypatch.setattr(
            train, "fit", lambda config, workdir, **_: seen.append((config, workdir))
        )
        monkeypatch.setattr(train, "summary", lambda *_: "")
        code, _, err = cli("train", *argv, "--data.root", "x")
        assert code == 0, err
        return seen[0]

    return run


def preset(name) -> Config:
    return load_preset(find_preset(name))


@pytest.mark.parametrize(
    ("name", "recipe"),
    [("semgcn_gt", "h36m_gt"), ("hgcn_cpn", "h36m_hr"), ("modulated_gcn_cpn", "h36m_hr")],
)
def test_networks_train_by_the_recipe_of_rsnet(started, name, recipe):
    own, other = preset(name), preset(recipe)
    config, workdir = started(f"configs/{name}.yaml", "--recipe", "rsnet")
    assert config.optim == other.optim
    kept = {"refine": own.train.refine}  # a part of the network
    assert config.train == other.train.model_copy(update=kept)
    assert (config.model, config.data.joint_set) == (own.model, own.data.joint_set)
    assert re.fullmatch(rf"runs/{name}-as-{recipe}-\d{{8}}-\d{{6}}", str(workdir))


def test_keypoints_of_the_command_line_decide_which_recipe_of_rsnet(started):
    argv = ["configs/semgcn_gt.yaml", "--recipe", "rsnet", "--data.detections", "hr"]
    config, _ = started(*argv, "--optim.learning-rate", "0.5")
    assert (config.train.batch_size, config.optim.learning_rate) == (512, 0.5)


def test_any_preset_is_a_recipe(started):
    config, _ = started("configs/h36m_gt.yaml", "--recipe", "semgcn_gt", "--model.width", 8)
    other = preset("semgcn_gt")
    assert (config.train, config.optim) == (other.train, other.optim)
    assert config.model == preset("h36m_gt").model.model_copy(update={"width": 8})


def test_recipes_that_cannot_be(refused, tmp_path):
    assert "no preset nothing; there are" in refused("train", "--recipe", "nothing")
    told = refused("train", "--resume", "--workdir", tmp_path, "--recipe", "rsnet")
    assert "give no recipe" in told
    own = tmp_path / "own.yaml"
    own.write_text("train: {refine: true, select: refined}\n")
    told = refused("train", "configs/semgcn_gt.yaml", "--recipe", own, "--data.root", "x")
    assert told == "train.select refined needs train.refine"
    with pytest.raises(ConfigError):
        preset("rsnet")
