"""Training on a stream: the same run, to the bit, as on data that the devices hold."""

import logging
import shutil

import numpy as np
import pytest
from reading_threads import assert_reading_ends
from training_runs import (
    SAVING_OFTEN,
    SMOKE,
    STEPS,
    assert_same_run,
    lines,
    train,
    train_until_killed,
)

from rsnet_jax.config import ParallelConfig
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.synthetic.clips import synthetic_clips
from rsnet_jax.data.views.stored import StoredViews
from rsnet_jax.data.views.write import Description, write_clips
from rsnet_jax.distributed.devices import Devices
from rsnet_jax.errors import ConfigError
from rsnet_jax.pose.skeleton import H36M_16
from rsnet_jax.training.program import samples_of_devices

STREAM = {"residency": "stream"}


@pytest.fixture(scope="module")
def folder(once):
    """The synthetic data as a folder of views."""

    def make(folder):
        about = Description("synthetic", H36M_16, H36M_16, ("noisy",))
        write_clips(folder, {"noisy": synthetic_clips("noisy")}, h36m_cameras(), description=about)

    return once("synthetic_views", make)


@pytest.mark.slow
def test_a_streamed_run_killed_within_an_epoch_resumes_to_the_bit(finished_run, tmp_path):
    """The reference has its data on the device; validation is streamed here, too."""
    step = train_until_killed(tmp_path, data=STREAM)
    assert (step - STEPS) % 4 == 0  # in the middle of an epoch
    assert_reading_ends()
    train(tmp_path, resume=True, train=SAVING_OFTEN, data=STREAM)
    assert_same_run(tmp_path, finished_run.workdir)


def test_a_folder_of_views_is_read_from_disk_while_training(
    finished_run, folder, tmp_path, monkeypatch
):
    """The table is never in memory as a whole; few of its rows are read at a time."""
    rows, take = [], StoredViews.take

    def counted(self, numbers):
        rows.append(len(numbers))
        return take(self, numbers)

    monkeypatch.setattr(StoredViews, "in_memory", None)
    monkeypatch.setattr(StoredViews, "take", counted)
    train(tmp_path, data=STREAM | {"root": folder, "dataset": "views"})
    assert_same_run(tmp_path, finished_run.workdir)
    # A call of the training program has 4 batches of 64, one of the evaluation 3 of 59 views.
    assert max(rows) <= 1024


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["mesh", "pmap"])
def test_each_device_gets_its_own_rows(finished_run, tmp_path, strategy):
    """On two devices: the same run from a stream as from the devices, to the bit."""
    parallel = {"devices": 2, "strategy": strategy}
    for residency in ("device", "stream"):
        train(
            tmp_path / residency,
            parallel=parallel,
            data={"residency": residency},
            train={"epochs": 1},
        )
    assert_same_run(tmp_path / "stream", tmp_path / "device")


def test_samples_of_this_process_by_hand(monkeypatch):
    """Batches of 6 over three devices, of which this process has the first and the last."""
    devices = Devices.choose(ParallelConfig(devices=3))
    monkeypatch.setattr(Devices, "local_numbers", [0, 2])
    order = np.arange(100, 140)
    mine = samples_of_devices(order, range(1, 3), devices, rows=2, length=3)
    # Batch 1 is 106 ... 111, batch 2 is 112 ... 117; the third is filled with the last one.
    assert mine.tolist() == [
        [106, 107, 112, 113, 112, 113],
        [110, 111, 116, 117, 116, 117],
    ]


def test_bad_value_is_one_line_and_the_threads_end(refused, folder, tmp_path):
    broken = shutil.copytree(folder, tmp_path / "views")
    joints = np.load(broken / "joints_3d.npy", mmap_mode="r+")
    joints[20, 3, 1] = np.inf  # the first views are of a training subject; 20 is a frame taken
    joints.flush()
    told = refused(
        *("train", SMOKE, "--data.root", broken, "--data.residency", "stream"),
        *("--parallel.devices", 1, "--workdir", tmp_path / "run"),
    )
    assert told == f"{broken / 'joints_3d.npy'}: row 20 holds a value that is not finite"
    assert_reading_ends()


def test_residency_follows_the_memory_of_a_device(monkeypatch, caplog):
    devices = Devices.choose(ParallelConfig(devices=2))
    assert devices.memory > 2**20
    monkeypatch.setattr(Devices, "memory", 2**30)
    caplog.set_level(logging.INFO, "rsnet_jax")

    def chosen(residency, size):
        return devices.choose_residency(residency, size, what="the data")

    assert chosen("auto", 2**28) == "device" == chosen("device", 2**28)
    assert chosen("stream", 1) == "stream" and not caplog.messages
    assert chosen("auto", 2**28 + 1) == "stream"
    assert caplog.messages == [
        "the data take 0.25 GiB, more than a quarter of a device's 1.00 GiB: they are read in "
        "parts, as they are needed"
    ]
    with pytest.raises(ConfigError, match=r"data\.residency device: the data take 0\.50 GiB, more"):
        chosen("device", 2**29)


def test_residency_may_change_when_a_run_is_resumed(tmp_path, finished_run):
    workdir = shutil.copytree(finished_run.workdir, tmp_path / "run")
    train(workdir, resume=True, data=STREAM)
    assert lines(workdir) == lines(finished_run.workdir)
