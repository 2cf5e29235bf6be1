import json
import re
import struct

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_runs import (
    EPOCHS,
    OFTEN,
    SMOKE,
    STEPS,
    Command,
    lines,
    run_hook,
    smoke,
    train,
    train_without_computing,
)

from rsnet_jax import load_checkpoint
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.load import saved_steps
from rsnet_jax.checkpoints.orbax_folder import save_checkpoint
from rsnet_jax.checkpoints.safetensors_file import save_safetensors
from rsnet_jax.config import DataConfig, TrainConfig
from rsnet_jax.data.load import load_train_and_validation
from rsnet_jax.errors import ConfigError, TrainingError
from rsnet_jax.evaluation import program as eval_program
from rsnet_jax.evaluation.evaluator import evaluate
from rsnet_jax.models.build import init_refinement_variables, init_variables
from rsnet_jax.training import loop
from rsnet_jax.training import program as train_program
from rsnet_jax.training.monitor import next_dispatch
from rsnet_jax.training.optim import make_optimizer
from rsnet_jax.training.start import check_batch, fresh_state
from rsnet_jax.training.step import fresh_sums

KEYS = ["epoch", "learning_rate", "loss", "train_mpjpe", "seconds", "samples_per_second",
        "mpjpe", "pa_mpjpe", "refined_mpjpe", "refined_pa_mpjpe"]  # fmt: skip


def test_training_lowers_loss_and_errors(finished_run):
    workdir, result, messages = finished_run
    found = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [list(line) for line in found] == [KEYS] * EPOCHS
    assert [line["epoch"] for line in found] == [1, 2, 3]
    np.testing.assert_allclose(
        [line["learning_rate"] for line in found], 1e-3 * 0.95 ** np.arange(EPOCHS), rtol=1e-6
    )
    for key in ("loss", "train_mpjpe", "mpjpe"):
        assert found[-1][key] < 0.8 * found[0][key], key
    assert found[-1]["refined_mpjpe"] < found[0]["refined_mpjpe"]  # the true depth helps at once
    assert found[-1]["refined_mpjpe"] < 0.75 * result.mean_pose_mpjpe
    assert 200 < result.mean_pose_mpjpe < 225
    assert f"{STEPS} steps of 64 per epoch (48 samples do not fill a batch" in messages[0]
    assert "chosen on the test subjects, as published" in messages[1]
    told = r"epoch 1/3: loss \d\.\d+, training MPJPE \d+\.\d mm; validation P1"
    assert re.match(told, messages[2])


def test_best_checkpoint_evaluates_to_the_reported_errors(finished_run):
    workdir, result, _ = finished_run
    best = load_checkpoint(workdir)
    assert best.step == result.best_epoch * STEPS
    _, validation = load_train_and_validation(best.config.data, "test")
    report = evaluate(best, validation).report
    for stage, prefix in (("lifted", ""), ("refined", "refined_")):
        told = lines(workdir)[result.best_epoch - 1][f"{prefix}mpjpe"]
        np.testing.assert_allclose(report[stage]["mpjpe"]["average"], told, rtol=1e-5)
        np.testing.assert_allclose(result.report[stage]["mpjpe"]["average"], told, rtol=1e-5)


def board(folder):
    """The figures in TensorBoard files: {name: [(step, value), ...]}."""
    from tensorboardX.proto import event_pb2

    figures = {}
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("Q", data[:8])
            event = event_pb2.Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            for value in event.summary.value:
                figures.setdefault(value.tag, []).append((event.step, value.simple_value))
    return figures


def test_tensorboard_holds_the_metrics(finished_run):
    workdir = finished_run.workdir
    figures = board(workdir / "tensorboard")
    assert list(figures) == KEYS[1:]
    for name in ("loss", "refined_pa_mpjpe"):
        assert [step for step, _ in figures[name]] == [1, 2, 3]
        want = [line[name] for line in lines(workdir)]
        np.testing.assert_allclose([value for _, value in figures[name]], want, rtol=1e-6)


def traced_once(make):
    """`make`, but what it makes may be traced only once."""
    return lambda *args, **kwargs: chex.assert_max_traces(make(*args, **kwargs), n=1)


@pytest.mark.slow
def test_eight_devices_by_pmap_change_rounding_only(finished_run, tmp_path, monkeypatch):
    """Training and evaluation are traced once, whatever the lengths of the dispatches."""
    untils = []
    chex.clear_trace_counter()
    for module, name in ((train_program, "make_train_loop"), (eval_program, "make_eval_loop")):
        monkeypatch.setattr(module, name, traced_once(getattr(module, name)))
    run_hook(monkeypatch, lambda state, until: untils.append(until))
    train(tmp_path, parallel={"devices": 8, "strategy": "pmap"})
    assert len(set(np.diff(untils))) > 1
    for got, want in zip(lines(tmp_path), lines(finished_run.workdir), strict=True):
        np.testing.assert_allclose(list(got.values()), list(want.values()), rtol=5e-3)


def test_learning_rate_of_an_epoch_is_that_of_its_last_step(tmp_path, monkeypatch):
    """The batch size is twice the base, and the warm-up takes two epochs."""
    train_without_computing(monkeypatch)
    train(tmp_path, optim={"base_batch_size": 32, "warmup_epochs": 2})
    got = [line["learning_rate"] for line in lines(tmp_path)]
    np.testing.assert_allclose(got, [2e-3 / 2, 2e-3 * 0.95, 2e-3 * 0.95**2], rtol=1e-6)


def test_weights_that_are_not_finite_are_never_saved(finished_run, tmp_path, monkeypatch):
    """The loss of the step that spoils the weights is still finite."""

    def spoil(state, until):
        if until >= spoil.at:
            return state._replace(params=jax.tree.map(lambda x: x * jnp.nan, state.params))
        return None

    run_hook(monkeypatch, spoil)
    spoil.at = STEPS + 1  # within the second epoch, about to be saved
    told = "weights between steps 23 and 27; the last good checkpoint, step 23, is kept in .*Try a"
    with pytest.raises(TrainingError, match=told):
        train(tmp_path / "a", train={"save_minutes": OFTEN})
    assert saved_steps(tmp_path / "a" / "checkpoints") == [STEPS]
    assert lines(tmp_path / "a") == lines(finished_run.workdir)[:1]
    spoil.at = STEPS  # the last step of an epoch
    with pytest.raises(TrainingError, match="between steps 0 and 23; no checkpoint had been saved"):
        train(tmp_path / "b")
    assert saved_steps(tmp_path / "b" / "checkpoints") == []
    assert lines(tmp_path / "b") == []


def test_loss_that_is_not_finite_ends_the_run(tmp_path, monkeypatch):
    def overflow(state):
        return state._replace(sums=state.sums | {"loss": jnp.float32(jnp.inf)})

    train_without_computing(monkeypatch, overflow)
    with pytest.raises(TrainingError, match=r"infinite loss between steps 0 and 4; no check"):
        train(tmp_path)
    assert saved_steps(tmp_path / "checkpoints") == []


@pytest.mark.parametrize(
    ("previous", "speed", "dispatch"),
    [
        (4, 1000, 16),  # at most four times the last one
        (400, 1000, 500),  # half a second
        (400, 1003, 500),  # a multiple of the steps of a call
        (4, 0.1, 4),  # one call at least
    ],
)
def test_next_dispatch_takes_half_a_second(previous, speed, dispatch):
    assert next_dispatch(previous, steps_per_second=speed, steps_per_call=4) == dispatch


def test_epoch_order_has_every_sample_once():
    """Every sample once an epoch, in an order of the epoch and nothing else."""
    key = jax.random.key(3)
    first, second = (train_program.epoch_order(key, epoch, samples=50) for epoch in (1, 2))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(50))
    assert first.tolist() != second.tolist()
    assert first.tolist() == train_program.epoch_order(key, 1, samples=50).tolist()


@pytest.mark.parametrize(
    ("batch", "devices", "told"),
    [
        (1521, 1, "1521 is larger than an epoch of 1520 samples; at most 1520 fits"),
        (2000, 3, "at most 1518 fits"),
        (64, 3, "64 does not divide among 3 devices; nearest: 63 or 66"),
        (2, 4, "nearest: 4$"),
        (1520, 3, "nearest: 1518$"),
        (7, 2000, "2000 devices; none fits"),
    ],
)
def test_check_batch_refuses_sizes_that_do_not_fit(batch, devices, told):
    with pytest.raises(ConfigError, match=told):
        check_batch(smoke(train={"batch_size": batch}), samples=1520, devices=devices)


def test_check_batch_returns_the_steps_of_an_epoch():
    assert check_batch(smoke(train={"batch_size": 1520}), samples=1520, devices=4) == 1
    assert check_batch(smoke(train={"batch_size": 64}), samples=1520, devices=4) == STEPS


@pytest.mark.parametrize("kind", ["orbax", "safetensors", "run", "pth"])
def test_init_loads_weights_of_every_format(tmp_path, kind, finished_run, golden):
    model = {}
    if kind == "run":
        path, start = finished_run.workdir, load_checkpoint(finished_run.workdir)
    elif kind == "pth":
        path, start = golden / "e2e_tiny", load_checkpoint(golden / "e2e_tiny")
        model = {"model": start.config.model.model_dump()}
    else:
        config = smoke(seed=5)
        start = Checkpoint(init_variables(config), init_refinement_variables(config), config)
        path = tmp_path / {"orbax": "start", "safetensors": "start.safetensors"}[kind]
        (save_checkpoint if kind == "orbax" else save_safetensors)(path, start)
    config = smoke(train={"init": path, "epochs": EPOCHS}, **model)
    frames, _ = load_train_and_validation(config.data, "test")
    state = fresh_state(config, make_optimizer(lambda _: 0), frames, init=True)
    chex.assert_trees_all_equal(state.params["network"], start.variables["params"])
    chex.assert_trees_all_equal(state.params["refinement"], start.refine_variables["params"])
    chex.assert_trees_all_equal(state.batch_stats, start.variables["batch_stats"])
    chex.assert_trees_all_equal(state.sums, fresh_sums())
    assert state.step == 0


def test_training_begins_with_the_weights_of_init(finished_run, tmp_path, monkeypatch):
    train_without_computing(monkeypatch)
    train(tmp_path, train={"epochs": 1, "init": finished_run.workdir})
    start, got = load_checkpoint(finished_run.workdir), load_checkpoint(tmp_path, step="latest")
    chex.assert_trees_all_equal(got.variables, start.variables)
    chex.assert_trees_all_equal(got.refine_variables, start.refine_variables)


def test_init_of_another_network_is_refused(finished_run, tmp_path):
    for model in ({"width": 5}, {"blocks": 2}, {"double_gelu": False}, {"refine_hidden": 7}):
        name, value = next(iter(model.items()))
        with pytest.raises(ConfigError, match=f"train.init: .* but model.{name} is {value}"):
            train(tmp_path / "new", train={"init": finished_run.workdir}, model=model)
    assert not (tmp_path / "new").exists()


def test_held_out_subject(tmp_path):
    """Subject S8 is validated on and not trained on; the lifted pose decides."""
    data = DataConfig(every=20)
    train_, validation = load_train_and_validation(data, "S8")
    assert set(train_.subjects) == {"S1", "S5", "S6", "S7"} and validation.subjects == ("S8",)
    assert TrainConfig(refine=True, select="lifted").selected == "lifted"
    assert TrainConfig(refine=True).selected == "refined" and TrainConfig().selected == "lifted"
    with pytest.raises(ConfigError, match="one of several training subjects .* not S9"):
        train(tmp_path / "new", train={"validation": "S9"})
    assert not (tmp_path / "new").exists()


def test_selected_stage_decides_which_epoch_is_best(tmp_path, monkeypatch):
    """The lifted error rises here while the refined one falls."""
    train_without_computing(monkeypatch)

    class Evaluator(loop.Evaluator):
        calls = 0

        def __call__(self, *args, **kwargs):
            result = super().__call__(*args, **kwargs)
            Evaluator.calls += 1
            result.report["lifted"]["mpjpe"]["average"] = 100 + Evaluator.calls
            result.report["refined"]["mpjpe"]["average"] = 100 - Evaluator.calls
            return result

    monkeypatch.setattr(loop, "Evaluator", Evaluator)
    result = train(tmp_path, train={"select": "lifted"})
    assert result.best_epoch == 1
    assert saved_steps(tmp_path / "checkpoints") == [STEPS, EPOCHS * STEPS]


@pytest.mark.slow
def test_terminal_shows_a_progress_bar(tmp_path):
    argv = ["train", SMOKE, "--train.epochs", 1, "--parallel.devices", 1]
    screen = Command(tmp_path / "screen", *argv, "--workdir", tmp_path / "run", terminal=True)
    assert screen.wait() == 0
    shown = screen.log.read_text()
    assert "epoch 1/1:" in shown and "samples/s" in shown and "loss=" in shown
