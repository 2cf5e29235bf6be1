"""Runs of recipes that differ from RS-Net's."""

import json

import numpy as np
import pytest
from training_runs import assert_same_run, lines, smoke, train

from rsnet_jax import load_checkpoint
from rsnet_jax.config import (
    ModulatedGCNDetectedConfig,
    SemGCNConfig,
    find_preset,
    load_preset,
)
from rsnet_jax.data.load import load_frames
from rsnet_jax.errors import ConfigError
from rsnet_jax.evaluation.evaluator import evaluate
from rsnet_jax.training import loop
from rsnet_jax.training.optim import learning_rates
from rsnet_jax.training.signals import StopRequest

VIEWS, BATCH = 760, 64
OPTIM = {
    "name": "adam",
    "learning_rate": 0.01,
    "schedule": "steps",
    "decay": 0.5,
    "decay_steps": 15,
    "clip_norm": 1.0,
}


def semgcn(epochs, **train):
    """The smoke preset with SemGCN and a recipe like the published one."""
    train = {"epochs": epochs, "refine": False, "mirror": False, "loss": "mse"} | train
    return {"model": SemGCNConfig(width=4, blocks=1), "train": train, "optim": OPTIM}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("recipes") / "run"
    return workdir, train(workdir, **semgcn(2))


def test_another_network_trains_by_its_recipe(run):
    workdir, result = run
    steps = VIEWS // BATCH  # views are not mirrored
    checkpoint = load_checkpoint(workdir, step="latest")
    assert checkpoint.config.model == SemGCNConfig(width=4, blocks=1)
    assert (checkpoint.step, checkpoint.batches_seen) == (2 * steps, 2 * steps)
    first, second = lines(workdir)
    # Steps are counted from 1, and the rate falls at step 15.
    np.testing.assert_allclose(first["learning_rate"], 0.01 * 0.5 ** (1 / 15), rtol=1e-6)
    np.testing.assert_allclose(second["learning_rate"], 0.01 * 0.5, rtol=1e-6)
    assert second["loss"] < first["loss"]
    assert result.report["refined"] is None


def test_evaluation_of_another_network_agrees_with_its_run(run):
    workdir, result = run
    checkpoint = load_checkpoint(workdir)
    report = evaluate(checkpoint, load_frames(checkpoint.config.data, "test")).report
    got = report["lifted"]["mpjpe"]["average"]
    assert got == pytest.approx(result.report["lifted"]["mpjpe"]["average"], rel=1e-5)


@pytest.mark.slow
def test_another_network_is_resumed(run, tmp_path):
    workdir, _ = run
    train(tmp_path / "run", **semgcn(1))
    train(tmp_path / "run", resume=True, **semgcn(2))
    assert_same_run(tmp_path / "run", workdir)


def test_run_starts_from_weights_of_the_same_network_only(run, tmp_path):
    workdir, _ = run
    train(tmp_path / "run", **semgcn(1, init=workdir))
    told = json.loads((tmp_path / "run" / "metrics.jsonl").read_text())
    assert told["loss"] < lines(workdir)[0]["loss"]
    with pytest.raises(ConfigError, match="has name semgcn, but model.name is rsnet"):
        train(tmp_path / "other", train={"epochs": 1, "init": workdir})
    wider = semgcn(1, init=workdir) | {"model": SemGCNConfig(width=5, blocks=1)}
    with pytest.raises(ConfigError, match="has width 4, but model.width is 5"):
        train(tmp_path / "other", **wider)


def test_loss_of_the_recipe_is_the_one_that_trains(tmp_path):
    """0.99 MPJPE + 0.01 L1, where L1 (per coordinate) is no more than MPJPE; meters."""
    train(tmp_path / "run", **semgcn(1, loss="mpjpe_l1"))
    [told] = lines(tmp_path / "run")
    assert 0.99 <= told["loss"] / (told["train_mpjpe"] / 1000) <= 1


def test_mirror_decides_the_samples_of_a_run(tmp_path):
    config = smoke(train={"mirror": False})
    opened = loop.open_run(config, tmp_path / "run", StopRequest(), resume=False, overwrite=False)
    assert opened.samples == VIEWS and opened.steps_per_epoch == VIEWS // BATCH


@pytest.mark.parametrize(
    ("preset", "joint_set", "batch", "loss", "decay", "decay_steps"),
    [
        ("semgcn_gt", "h36m16", 64, "mse", 0.96, 100_000),
        ("hgcn_cpn", "h36m17", 256, "mse", 0.8, 100_000),
        ("hoif_cpn", "h36m17", 256, "mse", 0.8, 100_000),
        ("weight_unsharing_gt", "h36m16", 256, "mse_l1", 0.96, 25_000),
        ("modulated_gcn_gt", "h36m16", 64, "mse_l1", 0.96, 100_000),
    ],
)
def test_presets_are_the_published_recipes(preset, joint_set, batch, loss, decay, decay_steps):
    config = load_preset(find_preset(preset))
    assert config.model == type(config.model)()
    assert config.data.joint_set == joint_set
    assert (config.train.epochs, config.train.batch_size) == (50, batch)
    assert (config.train.mirror, config.train.loss) == (False, loss)
    optim = config.optim
    assert (optim.name, optim.learning_rate, optim.clip_norm) == ("adam", 1e-3, 1.0)
    assert (optim.schedule, optim.decay, optim.decay_steps) == ("steps", decay, decay_steps)


def test_preset_with_refinement_is_the_published_recipe():
    """Of Modulated GCN for detected keypoints: times 0.9 after epochs 4, 8, ..., not clipped."""
    config = load_preset(find_preset("modulated_gcn_cpn"))
    assert config.model == ModulatedGCNDetectedConfig()
    assert (config.data.joint_set, config.train.refine) == ("h36m17", True)
    assert (config.train.epochs, config.train.batch_size) == (30, 256)
    assert (config.train.mirror, config.train.loss) == (True, "mpjpe_l1")
    optim = config.optim
    assert (optim.name, optim.learning_rate, optim.clip_norm) == ("amsgrad", 5e-3, None)
    schedule = learning_rates(optim, epochs=30, steps_per_epoch=10, batch_size=256)
    got = [float(schedule(10 * epoch)) for epoch in (0, 3, 4, 7, 8, 29)]
    np.testing.assert_allclose(got, [5e-3 * 0.9**n for n in (0, 0, 1, 1, 2, 7)], rtol=1e-6)
