import os
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_runs import damage, smoke

from rsnet_jax.checkpoints.load import choose_step, saved_steps
from rsnet_jax.config import Config, ParallelConfig
from rsnet_jax.distributed.devices import Devices
from rsnet_jax.errors import CheckpointError, ConfigError, OutputError
from rsnet_jax.pose.skeleton import H36M_16
from rsnet_jax.training.metrics_file import read_metrics
from rsnet_jax.training.run_checkpoints import LatestAndBest, Progress, RunCheckpoints
from rsnet_jax.training.run_files import LOCK_FILE
from rsnet_jax.training.run_folder import claim_workdir, start_run, writing_run
from rsnet_jax.training.run_log import MetricsLog
from rsnet_jax.training.settings import check_same_run
from rsnet_jax.training.step import TrainState, fresh_sums

CONFIG = smoke()
TWENTY = Progress(samples=20)


def state(step):
    """As a training state is made, but small; its values tell the step."""
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    weights = {"network": {"w": jnp.full((300,), float(step))}}
    tree = TrainState(jnp.int32(step), weights, {"mean": jnp.ones(3)}, (weights,), fresh_sums())
    return jax.device_put(tree, here)


def save(workdir, errors, config=CONFIG):
    """Saves steps with their validation errors, one after the other."""
    with RunCheckpoints(workdir, config, H36M_16) as checkpoints:
        for step, error in errors.items():
            checkpoints.save(state(step), TWENTY, mpjpe=error)
    return saved_steps(workdir / "checkpoints")


def test_latest_and_best_are_kept(tmp_path):
    assert save(tmp_path, {10: 50.0, 20: 40.0, 25: None, 30: 45.0, 33: None}) == [20, 33]
    folder = tmp_path / "checkpoints"
    assert choose_step(folder, None).name == choose_step(folder, "best").name == "20"
    assert choose_step(folder, "latest").name == "33" and choose_step(folder, 20).name == "20"
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 10; there are \[20, 33\]"):
        choose_step(folder, 10)


def test_best_is_kept_by_the_next_process_too(tmp_path):
    save(tmp_path, {10: 40.0})
    assert save(tmp_path, {20: 50.0, 30: 45.0}) == [10, 30]
    assert save(tmp_path, {40: 39.0}) == [40]


def test_policy():
    class Info:
        def __init__(self, step):
            self.step = step

    errors = {1: 3.0, 2: 2.0, 3: 2.0, 9: 1.0}
    keep = LatestAndBest(errors).should_preserve([Info(s) for s in (1, 2, 3, 4)], context=None)
    assert keep == [False, True, False, True]  # of equal ones the first; 9 is not there
    assert LatestAndBest({}).should_preserve([Info(1), Info(2)], context=None) == [False, True]


def test_kill_while_older_checkpoints_are_deleted_leaves_none(tmp_path, capfd):
    """As after a run's last save, which no further one tidies up."""
    assert save(tmp_path, {10: 50.0, 20: 40.0, 30: 45.0}) == [20, 30]
    folder = tmp_path / "checkpoints"
    shutil.copytree(folder / "30", folder / "25")  # not deleted yet
    shutil.copytree(folder / "30", folder / "15")  # half deleted
    (folder / "15" / "_CHECKPOINT_METADATA").unlink()
    shutil.rmtree(folder / "15" / "weights")
    with RunCheckpoints(tmp_path, CONFIG, H36M_16) as checkpoints:
        got, _ = checkpoints.restore_latest(state(0))
    assert int(got.step) == 30
    assert sorted(path.name for path in folder.iterdir()) == ["20", "30"]
    assert "does not exist" not in capfd.readouterr().err  # Orbax's complaint of the half


def test_what_is_restored_is_what_was_saved(tmp_path):
    save(tmp_path, {10: None})
    with RunCheckpoints(tmp_path, CONFIG, H36M_16) as checkpoints:
        got, progress = checkpoints.restore_latest(state(0))
    jax.tree.map(np.testing.assert_array_equal, got, state(10))
    assert progress == TWENTY


def test_other_devices_restore_every_bit(tmp_path):
    """Weights, moments, sums: all of the state."""
    before, after = 1, 8
    saved, fresh = (
        Devices.choose(ParallelConfig(devices=count)).replicate(state(step))
        for count, step in ((before, 30), (after, 0))
    )
    with RunCheckpoints(tmp_path, CONFIG, H36M_16) as checkpoints:
        checkpoints.save(saved, TWENTY)
        restored, _ = checkpoints.restore_latest(fresh)
    placed = Devices.choose(ParallelConfig(devices=after)).replicate(restored)
    jax.tree.map(np.testing.assert_array_equal, placed, saved)
    assert all(len(leaf.sharding.device_set) == after for leaf in jax.tree.leaves(placed))


@pytest.mark.parametrize("how", ["truncated", "seed", "empty", "renamed", "junk"])
def test_a_bad_newest_checkpoint_is_passed_over(tmp_path, caplog, how):
    run, folder = tmp_path / "run", tmp_path / "run" / "checkpoints"
    save(run, {10: 50.0, 20: None})
    if how == "truncated":
        damage(folder / "20")
    elif how == "seed":
        shutil.rmtree(folder / "20")
        save(tmp_path / "other", {20: None}, config=smoke(seed=1))
        shutil.copytree(tmp_path / "other" / "checkpoints" / "20", folder / "20")
    elif how == "renamed":
        (folder / "20").rename(folder / "21")
    else:
        shutil.rmtree(folder / "20")
        (folder / "20").mkdir()
        if how == "junk":
            (folder / "20" / "_CHECKPOINT_METADATA").write_text("junk")
        (folder / "30.orbax-checkpoint-tmp").mkdir()
        (folder / "30.orbax-checkpoint-tmp" / "_CHECKPOINT_METADATA").write_text("{}")
    with RunCheckpoints(run, CONFIG, H36M_16) as checkpoints:
        got, _ = checkpoints.restore_latest(state(0))
        assert int(got.step) == 10
        checkpoints.save(state(20), TWENTY, mpjpe=45.0)
    assert saved_steps(folder) == [20] and choose_step(folder, None).name == "20"
    assert sorted(path.name for path in folder.iterdir()) == ["20"]
    if how != "empty":  # an empty folder is no checkpoint
        told = [r.getMessage() for r in caplog.records if r.name.startswith("rsnet_jax")]
        assert len(told) == 1 and told[0].endswith("; put aside; continuing from step 10")
        [aside] = run.glob("unreadable-*")
        assert any(aside.iterdir())


@pytest.mark.slow
def test_all_bad(tmp_path, caplog):
    save(tmp_path, {10: 50.0, 20: None})
    for step in ("10", "20"):
        damage(tmp_path / "checkpoints" / step)
    with (
        pytest.raises(CheckpointError, match="no checkpoint to continue from: .*20: .*10: "),
        RunCheckpoints(tmp_path, CONFIG, H36M_16) as checkpoints,
    ):
        checkpoints.restore_latest(state(0))
    assert saved_steps(tmp_path / "checkpoints") == [10, 20] and caplog.text == ""


def test_claim_and_start(tmp_path):
    run = tmp_path / "new" / "run"
    claim_workdir(run, overwrite=False)
    assert not run.parent.exists()
    start_run(run, CONFIG)
    save(run, {10: 50.0})
    (run / "metrics.jsonl").write_text("{}\n")
    (run / "notes.txt").write_text("mine")
    (run / "tensorboard" / "mine").mkdir(parents=True)
    (run / "tensorboard" / "events.1").write_text("")
    with pytest.raises(OutputError, match="holds a run already .*--resume.*--overwrite"):
        claim_workdir(run, overwrite=False)
    claim_workdir(run, overwrite=True)
    assert saved_steps(run / "checkpoints") == [10]  # nothing is lost before the new run begins
    start_run(run, CONFIG)
    left = sorted(str(path.relative_to(run)) for path in run.rglob("*"))
    assert left == ["config.yaml", "notes.txt", "tensorboard", "tensorboard/mine"]


def test_a_run_that_came_between_claim_and_start(tmp_path):
    claim_workdir(tmp_path, overwrite=False)
    with writing_run(tmp_path, CONFIG, new=True, overwrite=False):
        save(tmp_path, {10: 50.0})  # the other one's, while we read our data
    with (
        pytest.raises(OutputError, match="holds a run already .*--resume.*--overwrite"),
        writing_run(tmp_path, CONFIG, new=True, overwrite=False),
    ):
        pass
    with writing_run(tmp_path, CONFIG, new=False, overwrite=False):
        assert saved_steps(tmp_path / "checkpoints") == [10]
    with writing_run(tmp_path, CONFIG, new=True, overwrite=True):
        assert saved_steps(tmp_path / "checkpoints") == []


def test_files_that_killed_processes_left_are_removed(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    gone = [f".{dead.pid}.config.yaml", f".{os.getpid()}.metrics.jsonl", f".{2**70}.metrics.jsonl"]
    kept = [
        f".{os.getppid()}.config.yaml",  # it lives
        f".{dead.pid}.notes.txt",  # no name of ours
        f"{dead.pid}.config.yaml",
        ".mine.config.yaml",
        ".².metrics.jsonl",
    ]
    for name in gone + kept:
        (tmp_path / name).write_text("half")
    with writing_run(tmp_path, CONFIG, new=False, overwrite=False):
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, LOCK_FILE])


def test_files_of_others_are_no_place_for_a_run(tmp_path):
    (tmp_path / "checkpoints" / "hr").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"holds a run already \(checkpoints\)"):
        claim_workdir(tmp_path, overwrite=False)


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OutputError, match="file is not a folder"):
            claim_workdir(path, overwrite=False)
    with pytest.raises(OutputError, match="/proc/run/config.yaml cannot be written"):
        claim_workdir(type(tmp_path)("/proc/run"), overwrite=False)


def test_same_run():
    check_same_run(CONFIG, smoke(train={"epochs": 9}, parallel={"devices": 4, "strategy": "pmap"}))
    check_same_run(CONFIG, smoke(data={"dataset": "synthetic"}))
    for changed, name in [
        ({"seed": 1}, "seed was 0 and cannot become 1"),
        ({"train": {"batch_size": 32}}, "train.batch_size was 64 and cannot become 32"),
        ({"optim": {"decay": 0.5}}, "optim.decay was 0.95"),
        ({"optim": {"base_batch_size": 64}}, "optim.base_batch_size was None"),
        ({"data": {"root": "/x"}}, "data.dataset was synthetic and cannot become h36m"),
    ]:
        with pytest.raises(ConfigError, match=name):
            check_same_run(CONFIG, smoke(**changed))


def test_a_run_from_before_a_setting_is_one_with_its_default():
    old = CONFIG.model_dump(mode="json")
    for name in ("base_batch_size", "warmup_epochs"):
        del old["optim"][name]
    check_same_run(Config(**old), CONFIG)
    with pytest.raises(ConfigError, match="optim.warmup_epochs was 0.0 and cannot become 1.0"):
        check_same_run(Config(**old), smoke(optim={"warmup_epochs": 1}))


def test_metrics_log_forgets_what_will_be_written_again(tmp_path):
    with MetricsLog(tmp_path, epochs_done=0) as log:
        for epoch in (1, 2, 3):
            log.append({"epoch": epoch, "loss": 0.1 * epoch})
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"epoch": 4, "lo')
    assert [line["epoch"] for line in read_metrics(path)] == [1, 2, 3]
    with MetricsLog(tmp_path, epochs_done=2) as log:
        log.append({"epoch": 3, "loss": 7.0})
    assert path.read_text() == (
        '{"epoch": 1, "loss": 0.1}\n{"epoch": 2, "loss": 0.2}\n{"epoch": 3, "loss": 7.0}\n'
    )


def test_metrics_that_cannot_be_written(tmp_path):
    with MetricsLog(tmp_path, epochs_done=0) as log:
        log.path = type(tmp_path)("/dev/full")
        with pytest.raises(OutputError, match="cannot be written: No space left on device"):
            log.append({"epoch": 1, "loss": 0.1})
