"""Runs, data and outputs at gs://, with the real clients and a Cloud Storage of this process."""

import importlib.util
import json

import jax
import numpy as np
import pytest
from fake_gcs import fake_gcs
from test_run_folder import CONFIG, TWENTY, save, state
from training_runs import SAVING_OFTEN, assert_same_run, train, train_until_killed

from rsnet_jax import Lifter, load_checkpoint
from rsnet_jax.checkpoints.load import saved_steps
from rsnet_jax.data.h36m.read import available_detections
from rsnet_jax.errors import CheckpointError, OutputError, StorageError
from rsnet_jax.files.outputs import atomic_write, ensure_writable
from rsnet_jax.files.paths import RemotePath, append, local_copy, remove_tree, size, to_path
from rsnet_jax.pose.skeleton import H36M_16
from rsnet_jax.training.metrics_file import read_metrics
from rsnet_jax.training.run_checkpoints import RunCheckpoints
from rsnet_jax.training.run_folder import claim_workdir, start_run
from rsnet_jax.training.run_log import MetricsLog

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("gcsfs") is None, reason="gcsfs is not installed"),
    # aiohttp says it of any upload of more than a megabyte; gcsfs does not offer another way.
    pytest.mark.filterwarnings(
        "ignore:Sending a large body directly with raw bytes:ResourceWarning"
    ),
]


@pytest.fixture(scope="session")
def server():
    """One server per worker, in whatever order tests are dealt out: clients keep its address."""
    with fake_gcs() as server:
        yield server


@pytest.fixture
def bucket(server, request, tmp_path, monkeypatch):
    """A folder of this test's own; the working folder must stay empty."""
    monkeypatch.chdir(tmp_path)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    yield to_path(f"gs://bucket/{request.node.name}")
    server.forbidden = False
    assert not any(path.name.startswith("gs:") for path in tmp_path.iterdir())


def names(server, path):
    """The objects below a path."""
    prefix = str(path).removeprefix("gs://bucket/") + "/"
    return [name.removeprefix(prefix) for name in server.names(prefix)]


def test_outputs(server, bucket):
    path = bucket / "deep" / "out.npz"
    ensure_writable(path)
    assert names(server, bucket) == []
    with atomic_write(path) as partial:
        np.savez(partial, x=np.arange(3))
        assert partial.suffix == ".npz" and not path.exists()
    assert names(server, bucket) == ["deep/out.npz"]
    with local_copy(path) as copy:
        np.testing.assert_array_equal(np.load(copy)["x"], np.arange(3))
        assert size(path) == copy.stat().st_size
    assert not copy.exists()
    with pytest.raises(OutputError, match=r"out.npz exists already; .* or --overwrite"):
        ensure_writable(path, overwrite=False)
    with pytest.raises(OutputError, match="is an existing folder"):
        ensure_writable(path.parent)
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert size(path) > len("half")
    remove_tree(bucket)
    assert names(server, bucket) == []


def test_a_large_file(server, bucket):
    (bucket / "large").write_bytes(bytes(3 << 20))
    assert size(bucket / "large") == 3 << 20


def test_text_is_added_to(server, bucket):
    (bucket / "log").write_text("one\n")
    append(bucket / "log", "two\n")
    assert (bucket / "log").read_text() == "one\ntwo\n"


def test_places_that_cannot_be_written(server, bucket):
    with pytest.raises(OutputError, match=r"other/x cannot be written: no bucket gs://other$"):
        ensure_writable(to_path("gs://other/x"))
    (bucket / "log").write_text("")
    server.forbidden = True
    with pytest.raises(OutputError, match=r"x cannot be written: Forbidden.*storage.objects"):
        ensure_writable(bucket / "x")
    with pytest.raises(StorageError, match=r"log: Forbidden"):
        append(bucket / "log", "more")
    with pytest.raises(OutputError, match="Orbax writes to local folders and gs:// only"):
        claim_workdir(RemotePath("s3://bucket/run"), overwrite=False)


@pytest.mark.slow
def test_data_in_a_bucket(server, bucket, cli, network, refused):
    root = bucket / "data"
    options = [network, "--data.detections", "gt", "--data.every", "40"]
    assert cli("prepare", "synthetic", "--out", "made")[0] == 0
    assert cli("evaluate", "--data.root", "made", *options, "--json", "here.json")[0] == 0
    for file in to_path("made").iterdir():
        server.put(f"{bucket.name}/data/{file.name}", file.read_bytes())
        file.unlink()
    assert available_detections(root) == ["gt", "noisy"]
    assert cli("evaluate", "--data.root", root, *options, "--json", bucket / "out.json")[0] == 0
    report = json.loads((bucket / "out.json").read_text())
    assert report["dataset"] == "h36m" and report == json.loads(to_path("here.json").read_text())
    told = refused("evaluate", "--data.root", bucket / "none", *options)
    assert "/none: no such folder" in told
    told = refused("evaluate", "--data.root", root, "--data.detections", "hr")
    assert "data_2d_h36m_hr.npz: no such file; detections there: gt, noisy" in told
    assert "local folder was wanted" in refused("prepare", "synthetic", "--out", bucket / "new")
    server.forbidden = True
    assert "Forbidden" in refused("evaluate", "--data.root", root, *options)


def test_weights(server, bucket, cli, network):
    (bucket / network.name).write_bytes(network.read_bytes())
    wanted = load_checkpoint(network)
    for name in ("weights.safetensors", "folder"):
        assert cli("convert", bucket / network.name, "--out", bucket / name)[0] == 0
        got = load_checkpoint(str(bucket / name))
        jax.tree.map(np.testing.assert_array_equal, got.variables, wanted.variables)
    assert Lifter.load(f"{bucket}/folder").checkpoint.source == f"{bucket}/folder"
    (bucket / "folder" / "commit_success.txt").unlink()
    with pytest.raises(CheckpointError, match="holds neither a checkpoint"):
        load_checkpoint(bucket / "folder")


@pytest.mark.slow
def test_steps_that_were_not_finished(server, bucket):
    """A folder of an object store cannot get its name at the end: Orbax marks it instead."""
    assert save(bucket, {10: 50.0, 20: None}) == [10, 20]
    (bucket / "checkpoints" / "20" / "commit_success.txt").unlink()
    assert saved_steps(bucket / "checkpoints") == [10]
    with RunCheckpoints(bucket, CONFIG, H36M_16) as checkpoints:
        got, progress = checkpoints.restore_latest(state(0))
        jax.tree.map(np.testing.assert_array_equal, got, state(10))
        assert progress == TWENTY
        checkpoints.save(state(20), TWENTY, mpjpe=45.0)
    assert saved_steps(bucket / "checkpoints") == [20]


@pytest.mark.slow
def test_a_damaged_step_is_put_aside(server, bucket, caplog):
    save(bucket, {10: 50.0, 20: None})
    (bucket / "checkpoints" / "20" / "about" / "metadata").write_text("{")
    with RunCheckpoints(bucket, CONFIG, H36M_16) as checkpoints:
        got, _ = checkpoints.restore_latest(state(0))
    assert int(got.step) == 10 and "put aside; continuing from step 10" in caplog.text
    assert saved_steps(bucket / "checkpoints") == [10]
    assert "about/metadata" in names(server, bucket / "unreadable-20")


def test_a_run_that_begins_again(server, bucket):
    claim_workdir(bucket, overwrite=False)
    start_run(bucket, CONFIG)
    save(bucket, {10: 50.0})
    (bucket / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds a run already \(config.yaml, checkpoints\)"):
        claim_workdir(bucket, overwrite=False)
    claim_workdir(bucket, overwrite=True)
    start_run(bucket, CONFIG)
    assert names(server, bucket) == ["config.yaml", "notes.txt"]


def test_metrics(server, bucket):
    with MetricsLog(bucket, epochs_done=0) as log:
        for epoch in (1, 2, 3):
            log.append({"epoch": epoch, "loss": 0.1 * epoch})
    with MetricsLog(bucket, epochs_done=2) as log:
        log.append({"epoch": 3, "loss": 7.0})
        server.forbidden = True
        with pytest.raises(OutputError, match="cannot be written: .*Forbidden.*--resume"):
            log.append({"epoch": 4, "loss": 7.0})
        server.forbidden = False
    assert [line["loss"] for line in read_metrics(bucket / "metrics.jsonl")] == [0.1, 0.2, 7.0]
    events = [name for name in names(server, bucket) if name.startswith("tensorboard/events.out")]
    assert events and all(b"loss" in server.content(f"{bucket.name}/{name}") for name in events)


@pytest.mark.slow
def test_run_in_a_bucket_equals_a_local_run(server, bucket, finished_run, cli, refused):
    """Trained in two parts at gs://, it is the run of one piece on this machine, to the bit."""
    train_until_killed(bucket)
    train(bucket, resume=True, train=SAVING_OFTEN)
    assert_same_run(bucket, finished_run.workdir)
    assert cli("evaluate", bucket, "--predictions", bucket / "poses.npz")[0] == 0
    assert "poses.npz" in names(server, bucket)
    assert "holds a run already" in refused("train", "smoke", "--workdir", bucket).splitlines()[-1]
    assert "optim.decay was 0.95" in refused(
        "train", "--workdir", bucket, "--resume", "--optim.decay", "0.5"
    )
