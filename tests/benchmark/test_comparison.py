import dataclasses
import functools

import numpy as np
import pytest

from rsnet_jax.benchmark import comparison
from rsnet_jax.benchmark.comparison import Settings, Unequal, check_equal, checkpoint_for, sample
from rsnet_jax.benchmark.ours import Ours
from rsnet_jax.benchmark.report import rates, row_lines
from rsnet_jax.config import DataConfig, SemGCNConfig, settings_class

SETTINGS = Settings(
    width=5,
    batch=16,
    epoch_width=4,
    epoch_batch=64,
    seconds=1e-3,
    data=DataConfig(actions=("Walk",), every=20),
)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """One block, which compiles fast, and no rulers."""
    monkeypatch.setattr(
        comparison, "settings_class", lambda name: functools.partial(settings_class(name), blocks=1)
    )
    monkeypatch.setattr(comparison, "rulers", lambda precision, **sizes: {})


def eager(checkpoint):
    pytest.importorskip("torch")
    from rsnet_jax.benchmark.rival_torch import TorchSide

    return TorchSide(checkpoint, compiled=False)


@pytest.mark.parametrize(
    "row",
    [
        *("latency", "inference", "evaluation"),
        pytest.param("training", marks=pytest.mark.slow),
    ],
)
def test_torch_twin_equals_ours_in_every_row(row):
    result = comparison.ROWS[row](SETTINGS, [Ours, eager])
    assert result.differences["torch eager"] < 1e-5
    assert all(len(times) >= 3 for times in result.times.repeats.values())
    assert result.times.first.keys() == {"ours", "torch eager"}


@pytest.mark.slow
def test_epoch_row_runs():
    result = comparison.epoch(SETTINGS, [Ours])
    assert min(result.times.repeats["ours"]) > 0


@pytest.mark.slow
@pytest.mark.parametrize("row", ["inference", "evaluation", "training"])
def test_wrong_twin_is_refused(row):
    def wrong(checkpoint):
        side = eager(checkpoint)
        network = side.network

        def changed(dropout=0.0):
            module = network(dropout)
            module.non_local.W[1].bias.data += 0.1  # seen only if the weights are not zero
            return module

        side.network = changed
        return side

    with pytest.raises(Unequal, match="torch eager: .* differs from ours by"):
        comparison.ROWS[row](SETTINGS, [Ours, wrong])


def test_check_equal_refuses_differences():
    ours = {"pose": np.array([[1.0, 2.0]]), "loss": np.array([1.0])}

    def check(**theirs):
        return check_equal(ours, theirs, tolerance=1e-4, name="row, rival")

    assert check(pose=np.array([[1.0, 2.0001]])) == pytest.approx(5e-5)
    for pose in ([[1.0, 2.1]], [[1.0, np.nan]]):
        with pytest.raises(Unequal, match="row, rival: pose differs from ours"):
            check(pose=np.array(pose))
    with pytest.raises(Unequal, match="shape"):
        check(pose=np.array([1.0, 2.0]))


def test_checkpoint_for_has_no_zero_weights():
    checkpoint = checkpoint_for(SETTINGS, width=4)
    norm = checkpoint.variables["params"]["non_local"]["norm"]
    assert np.all(norm["scale"] != 0) and np.all(norm["bias"] != 0)


def test_checkpoint_for_has_the_network_that_the_settings_name():
    checkpoint = checkpoint_for(dataclasses.replace(SETTINGS, model="semgcn"), width=6)
    assert checkpoint.config.model == SemGCNConfig(width=6, blocks=1)
    prediction = Ours(checkpoint).prediction(sample(2).keypoints_2d, from_host=True)
    assert prediction.outcome()["pose"].shape == (2, 16, 3)


def test_row_of_a_network_without_formulas_has_no_counts():
    [ours, other] = (
        comparison.inference(dataclasses.replace(SETTINGS, model=model), [Ours])
        for model in ("rsnet", "semgcn")
    )
    assert ours.flops and ours.bytes
    assert other.flops is None and other.bytes is None
    assert rates(other) == {} and row_lines(other)[0] == other.title
