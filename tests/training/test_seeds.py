"""Seeds side by side: each member is the run that it would be alone."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_runs import (
    EPOCHS,
    SAVING_OFTEN,
    SMOKE,
    STEPS,
    lines,
    smoke,
    train,
    train_until_killed,
)

from rsnet_jax import load_checkpoint
from rsnet_jax.checkpoints.load import load_weights
from rsnet_jax.checkpoints.members import Members
from rsnet_jax.config import Config, DataConfig, ParallelConfig, RSNetConfig, load_preset
from rsnet_jax.data.batches import table_of
from rsnet_jax.data.load import load_frames
from rsnet_jax.distributed.devices import Devices
from rsnet_jax.errors import CheckpointError, ConfigError
from rsnet_jax.evaluation.evaluator import evaluate
from rsnet_jax.evaluation.members import combined, deviation, mean
from rsnet_jax.models.build import (
    build_model,
    build_refinement,
    init_refinement_variables,
    init_variables,
    run_keys,
)
from rsnet_jax.pose.skeleton import H36M_16
from rsnet_jax.training.metrics_file import is_line
from rsnet_jax.training.optim import make_optimizer
from rsnet_jax.training.program import epoch_order, prepare_train_loop
from rsnet_jax.training.run_log import board_figures
from rsnet_jax.training.seeds import (
    SPLIT,
    collect_state,
    make_seeds_loop,
    own_members,
    place_state,
    stack_members,
)
from rsnet_jax.training.settings import check_same_run
from rsnet_jax.training.start import fresh_state, state_shapes
from rsnet_jax.training.step import TrainState, fresh_sums, make_train_loop, make_train_step

SIZES = {"skeleton": H36M_16, "keypoint_skeleton": H36M_16, "steps_per_epoch": 5, "length": 10}
PAIR = {"train": {"seeds": 2, "epochs": EPOCHS}, "parallel": {"devices": 2}}


@pytest.fixture(scope="module")
def pair(once):
    """A run of two seeds, each of which has a device."""
    return once("pair_of_seeds", lambda folder: train(folder / "run", **PAIR)) / "run"


@pytest.fixture(scope="module")
def step():
    """The step of a run alone on one device, with dropout; plain SGD, since Adam would turn
    rounding noise in zero gradients into full steps."""
    config, tx = Config(model=RSNetConfig(width=4, blocks=1)), optax.sgd(0.05)
    return make_train_step(build_model(config), build_refinement(config), tx), tx


@pytest.fixture(scope="module")
def table():
    frames = load_frames(DataConfig(every=60), "test")
    return jax.tree.map(jnp.asarray, table_of(frames))


def first_state(tx, seed):
    config = Config(seed=seed, model=RSNetConfig(width=4, blocks=1))
    network, refinement = init_variables(config), init_refinement_variables(config)
    params = {"network": network["params"], "refinement": refinement["params"]}
    return TrainState(jnp.int32(0), params, network["batch_stats"], tx.init(params), fresh_sums())


def order_of(seed, table):
    return epoch_order(run_keys(seed).order, 1, samples=2 * len(table.camera))


SEEDS = (7, 8, 9, 10)


@pytest.fixture(scope="module")
def alone(step, table):
    """The states of runs alone after 14 steps, by seed."""

    @jax.jit
    def run(state, order, key, until):
        loop = make_train_loop(step[0], axis_name=None, rows=16, devices=1, key=key, **SIZES)
        return loop(state, table, order, until)

    def train_alone(seed):
        state, order, key = first_state(step[1], seed), order_of(seed, table), run_keys(seed).steps
        for until in (10, 14):
            state = run(state, order, key, jnp.int32(until))
        return jax.device_get(state)

    return {seed: train_alone(seed) for seed in SEEDS}


@pytest.mark.parametrize(("devices", "strategy"), [(1, "mesh"), (2, "mesh"), (2, "pmap")])
def test_members_of_a_device_are_the_runs_alone(step, table, alone, devices, strategy):
    """Two or four members on a device, by vmap; after 14 steps only rounding may differ."""
    where = Devices.choose(ParallelConfig(devices=devices, strategy=strategy))
    seeds = SEEDS[: 2 * devices]
    loop = make_seeds_loop(step[0], batch_size=16, devices=devices, seeds=seeds, **SIZES)
    program = where.compile_spmd(loop, donate=True, split=(2,), split_state=SPLIT)
    state = stack_members(jax.device_get([first_state(step[1], seed) for seed in seeds]))
    state = place_state(state, where, seeds=len(seeds))
    orders = np.array([order_of(seed, table) for seed in seeds])
    order = where.split(own_members(orders, where))
    for until in (10, 14):
        state = program(state, where.replicate(table), order, where.replicate(jnp.int32(until)))
    got = jax.device_get(collect_state(state, where, seeds=len(seeds)))
    assert got.step == 14
    for number, seed in enumerate(seeds):
        for name in ("params", "batch_stats", "sums"):
            jax.tree.map(
                lambda mine, other, i=number: np.testing.assert_allclose(
                    mine[i], other, rtol=1e-3, atol=1e-5
                ),
                getattr(got, name),
                getattr(alone[seed], name),
            )
    losses = got.sums["loss"]
    assert np.ptp(losses) > 1e-2 * losses.mean()  # the members differ


def test_a_member_with_its_own_device_is_the_run_alone(pair, finished_run):
    """Over three epochs of Adam: losses to float32, errors to one in a thousand."""
    for got, want in zip(lines(pair), lines(finished_run.workdir), strict=True):
        figures = got.pop("members")
        assert figures.keys() <= want.keys()
        for name, values in figures.items():
            tolerance = 1e-6 if name in ("loss", "train_mpjpe") else 1e-3
            np.testing.assert_allclose(values[0], want[name], rtol=tolerance)
            assert abs(values[1] / want[name] - 1) > 1e-3  # the other seed is another run
            assert got[name] == pytest.approx(np.mean(values))
        assert got["learning_rate"] == want["learning_rate"]
        assert got["ensemble_refined_mpjpe"] < max(figures["refined_mpjpe"])
    member, other = (load_checkpoint(pair, step="latest", member=i) for i in range(2))
    assert member.config.train.seeds == other.config.train.seeds == 1
    assert (member.config.seed, other.config.seed) == (0, 1)


def test_members_begin_as_the_runs_alone_to_the_bit():
    config = smoke(seed=5, train={"seeds": 2})
    frames, tx = load_frames(config.data, "train"), make_optimizer(lambda _: 0)
    state = fresh_state(config, tx, frames, init=False)
    shapes = state_shapes(config, tx, frames)
    assert jax.tree.map(np.shape, state) == jax.tree.map(lambda x: x.shape, shapes)
    for number, seed in enumerate((5, 6)):
        alone = fresh_state(smoke(seed=seed), tx, frames, init=False)
        for name in ("params", "batch_stats", "opt_state", "sums"):
            jax.tree.map(
                lambda mine, other, i=number: np.testing.assert_array_equal(mine[i], other),
                getattr(state, name),
                getattr(alone, name),
            )


def test_the_best_checkpoint_has_the_lowest_mean(pair):
    errors = [line["refined_mpjpe"] for line in lines(pair)]
    best = STEPS * (1 + int(np.argmin(errors)))
    assert load_weights(pair).step == best


@pytest.mark.slow
def test_resumes_to_the_bit(pair, tmp_path):
    killed = {"seeds": 2} | SAVING_OFTEN
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SAVING_OFTEN, "seeds", 2)
        train_until_killed(tmp_path, parallel=PAIR["parallel"])
    train(tmp_path, resume=True, train=killed, parallel=PAIR["parallel"])
    assert lines(tmp_path) == lines(pair)
    for step in ("latest", "best"):
        weights = [load_weights(folder, step=step) for folder in (tmp_path, pair)]
        jax.tree.map(
            np.testing.assert_array_equal, *[(w.variables, w.refine_variables) for w in weights]
        )


@pytest.mark.slow
def test_resumes_on_other_devices(pair, tmp_path):
    """Both members on one device: the same up to rounding, which Adam makes larger."""
    train(tmp_path, train={"seeds": 2, "epochs": 1}, parallel={"devices": 1})
    (got,), want = lines(tmp_path), lines(pair)[0]
    assert got["loss"] == pytest.approx(want["loss"], rel=1e-3)
    assert got["members"]["mpjpe"] == pytest.approx(want["members"]["mpjpe"], rel=1e-2)
    train(tmp_path, resume=True, train={"seeds": 2, "epochs": 2}, parallel={"devices": 2})
    got, want = lines(tmp_path)[1], lines(pair)[1]
    assert got["loss"] == pytest.approx(want["loss"], rel=1e-2)


def test_evaluation_gives_each_their_mean_spread_and_ensemble(pair):
    frames = load_frames(smoke().data, "test")
    members = load_weights(pair)
    assert isinstance(members, Members)
    parallel = ParallelConfig(devices=1)
    report = evaluate(members, frames, parallel=parallel).report
    singles = [
        evaluate(members.member(i), frames, parallel=parallel, keep_predictions=True)
        for i in range(2)
    ]
    assert [member["seed"] for member in report["members"]] == [0, 1]
    for stage in ("lifted", "refined"):
        for metric in ("mpjpe", "pa_mpjpe", "n_mpjpe", "per_joint_mpjpe"):
            for key in report[stage][metric]:
                alone = np.array([single.report[stage][metric][key] for single in singles])
                together = [member[stage][metric][key] for member in report["members"]]
                np.testing.assert_allclose(together, alone, rtol=1e-5)
                assert report[stage][metric][key] == pytest.approx(alone.mean())
                sd = np.sqrt(((alone - alone.mean()) ** 2).sum() / 1)
                assert report["sd"][stage][metric][key] == pytest.approx(sd, rel=1e-3, abs=1e-4)
        poses = np.mean([single.predictions[f"{stage}_pose"] for single in singles], axis=0)
        target = frames.joints_3d.copy()
        target[:, 0] = 0
        errors = 1000 * np.linalg.norm(poses - target, axis=-1).mean(axis=1)
        by_action = [errors[frames.action == i].mean() for i in range(len(frames.actions))]
        ensemble = report["ensemble"][stage]["mpjpe"]["average"]
        assert ensemble == pytest.approx(np.mean(by_action), rel=1e-5)
    assert report["frames"] == len(frames)


def test_evaluate_prints_and_writes_them(cli, refused, pair, tmp_path):
    written = tmp_path / "out.json"
    one = ("--parallel.devices", 1)
    code, out, _ = cli("evaluate", pair, "--json", written, *one)
    assert code == 0
    report = json.loads(written.read_text())
    rows = {line[:20].strip(): line[20:].split() for line in out.splitlines()}
    for name, where in (
        ("member 1, seed 1", report["members"][1]),
        ("mean", report),
        ("standard deviation", report["sd"]),
        ("ensemble", report["ensemble"]),
    ):
        cells = [
            where[stage][metric]["average"]
            for stage in ("lifted", "refined")
            for metric in ("mpjpe", "pa_mpjpe", "n_mpjpe")
        ]
        assert rows[name] == [f"{cell:.2f}" for cell in cells]
    code, out, _ = cli("evaluate", pair, "--member", 1, *one)
    assert code == 0 and "member 1" in out and "standard deviation" not in out
    told = refused("evaluate", pair, "--predictions", tmp_path / "poses.npz", *one)
    assert told.startswith("predictions: poses are those of one network, but the run has 2 members")


def test_other_commands_take_one_member(cli, refused, pair, finished_run, tmp_path):
    choice = "the run has 2 members (seeds 0 to 1); --member 0 to 1 was wanted"
    assert refused("info", pair).endswith(choice)
    assert refused("info", pair, "--member", 2).endswith(f"{choice}, not 2")
    told = refused("info", finished_run.workdir, "--member", 0)
    assert "--member is for a run with several seeds (train.seeds), which this is not" in told
    assert cli("convert", pair, "--member", 1, "--out", tmp_path / "one")[0] == 0
    one = load_checkpoint(tmp_path / "one")
    assert one.fingerprint == load_checkpoint(pair, member=1).fingerprint
    with pytest.raises(CheckpointError, match="--member 0 to 1 was wanted"):
        load_checkpoint(pair)


def test_what_makes_no_sense_is_refused(refused, tmp_path, monkeypatch):
    run = ("train", SMOKE, "--workdir", tmp_path / "run", "--train.seeds")
    assert refused(*run, 2, "--data.residency", "stream") == (
        "train.seeds: runs side by side need the training data on the devices; data.residency "
        "stream is for one run"
    )
    assert refused(*run, 3, "--parallel.devices", 2) == (
        "train.seeds 3 does not divide among 2 devices; nearest: 2 or 4"
    )
    assert refused(*run, 2, "--seed", 2**32 - 1).endswith("at most 2**32 - 1 was wanted")
    monkeypatch.setattr(Devices, "memory", 1000)
    config = smoke(train={"seeds": 2})
    frames = load_frames(config.data, "train")
    with pytest.raises(ConfigError, match=r"train\.seeds: runs side by side need the training"):
        prepare_train_loop(
            config, optax.sgd(1), frames, Devices.choose(config.parallel), steps_per_epoch=1
        )


def test_a_run_with_seeds_resumes_with_as_many(pair):
    stored = load_preset(pair / "config.yaml")
    with pytest.raises(ConfigError, match=r"train\.seeds was 2 and cannot become 4"):
        check_same_run(stored, smoke(train={"seeds": 4, "epochs": EPOCHS}))


def test_tables_are_combined_by_hand():
    tables = [
        {"mpjpe": {"average": 1.0}, "frames": 5, "auc": None, "degenerate_poses": {"line": 1}},
        {"mpjpe": {"average": 4.0}, "frames": 5, "auc": None, "degenerate_poses": {"line": 2}},
    ]
    assert combined(tables, mean, sums=True) == {
        "mpjpe": {"average": 2.5},
        "frames": 5,
        "auc": None,
        "degenerate_poses": {"line": 3},
    }
    spread = combined(tables, deviation, sums=False)
    assert spread == {"mpjpe": {"average": pytest.approx(4.5**0.5)}, "frames": 5, "auc": None}
    assert np.isnan(deviation([1.0, np.inf]))


def test_lines_of_members():
    line = {"epoch": 1, "loss": 0.5, "members": {"loss": [0.4, 0.6]}}
    assert is_line(line)
    assert board_figures(line) == {"loss": 0.5, "members/loss/0": 0.4, "members/loss/1": 0.6}
    for wrong in ([0.4], {"loss": 0.4}, {"loss": ["0.4"]}, {"loss": [float("nan")]}):
        assert not is_line(line | {"members": wrong})
