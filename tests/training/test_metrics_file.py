import json
import shutil

import pytest
from training_runs import EPOCHS, STEPS, train, train_without_computing

from rsnet_jax.checkpoints.load import saved_steps
from rsnet_jax.checkpoints.orbax_folder import restore_about
from rsnet_jax.errors import CheckpointError, OutputError
from rsnet_jax.training.metrics_file import mend_metrics, read_metrics
from rsnet_jax.training.run_checkpoints import RunCheckpoints


@pytest.fixture
def unbroken(finished_run):
    """metrics.jsonl of a run that nothing happened to, its lines."""
    return (finished_run.workdir / "metrics.jsonl").read_bytes().splitlines(keepends=True)


@pytest.fixture
def saved(finished_run):
    """The lines that the last checkpoint of that run holds."""
    folder = finished_run.workdir / "checkpoints"
    return restore_about(folder / str(saved_steps(folder)[-1])).progress["lines"]


def changed(line, **figures):
    return json.dumps({**json.loads(line), **figures}).encode() + b"\n"


TWICE = "removed where there twice: epoch "
NOT_LINES = "removed, since they were no lines of epochs: "
RESTORED = "restored from the checkpoint: epoch "
ACCIDENTS = {
    "nothing": (lambda a, b, c: a + b + c, ""),
    "bytes that are no text": (lambda a, b, c: a + b"\xff\xfe\x00\n" + b + c, NOT_LINES + "1"),
    "zeros at the end": (lambda a, b, c: a + b + bytes(300), f"{RESTORED}3; {NOT_LINES}1"),
    "a number": (lambda a, b, c: a + b + c + b"17\n", NOT_LINES + "1"),
    "a list, null, text": (lambda a, b, c: a + b + c + b'[]\nnull\n"x"\n', NOT_LINES + "3"),
    "no epoch": (lambda a, b, c: a + b + c.replace(b"epoch", b"era"), f"{RESTORED}3; {NOT_LINES}1"),
    "an epoch that is none": (
        lambda a, b, c: changed(a, epoch=True) + changed(b, epoch=2.0) + changed(c, epoch=-1),
        f"{RESTORED}1 to 3; {NOT_LINES}3",
    ),
    "deeper than Python goes": (lambda a, b, c: b"[" * 99_999 + b"\n" + a + b + c, NOT_LINES + "1"),
    "5,000 digits": (lambda a, b, c: a + b"9" * 5000 + b"\n" + b + c, NOT_LINES + "1"),
    "half a line gone": (lambda a, b, c: a + b[:99] + c, f"{RESTORED}2 to 3; {NOT_LINES}1"),
    "half of the last": (lambda a, b, c: a + b + c[:9], f"{RESTORED}3; {NOT_LINES}1"),
    "no end of line": (lambda a, b, c: a + b + c.rstrip(), ""),
    "the last line lost": (lambda a, b, c: a + b, RESTORED + "3"),
    "the first and the last": (lambda a, b, c: b, RESTORED + "1, 3"),
    "every line twice": (lambda a, b, c: a + a + b + b + c + c, TWICE + "1 to 3"),
    "the file twice": (lambda a, b, c: 2 * (a + b + c), TWICE + "1 to 3"),
    "another order": (lambda a, b, c: c + a + b, ""),
    "another number": (lambda a, b, c: a + changed(b, loss=7.0) + c, RESTORED + "2"),
    "NaN": (lambda a, b, c: a + changed(b, loss=float("nan")) + c, f"{RESTORED}2; {NOT_LINES}1"),
    "emptied": (lambda a, b, c: b"", RESTORED + "1 to 3"),
    "deleted": (lambda a, b, c: None, RESTORED + "1 to 3"),
    "further than the checkpoint": (
        lambda a, b, c: a + b + c + changed(c, epoch=4),
        "to be trained again: epoch 4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_file_is_mended_from_the_checkpoint(accident, unbroken, saved, tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    damage, told = ACCIDENTS[accident]
    content = damage(*unbroken)
    if content is not None:
        path.write_bytes(content)
    lines = mend_metrics(path, saved, epochs_done=EPOCHS)
    assert path.read_bytes().splitlines(keepends=True) == unbroken
    assert lines == [json.loads(line) for line in unbroken]
    assert [record.getMessage() for record in caplog.records] == [f"{path}: {told}"] * bool(told)


def test_epochs_that_an_old_checkpoint_does_not_hold(unbroken, tmp_path, caplog):
    """Earlier versions saved no lines: those of the file stand in, and what is lost is said."""
    path = tmp_path / "metrics.jsonl"
    first, second, third = unbroken
    path.write_bytes(first + changed(third, loss=7.0) + third + second[:20])
    lines = mend_metrics(path, [], epochs_done=EPOCHS)
    assert path.read_bytes() == first + third
    assert lines == [json.loads(line) for line in (first, third)]
    assert caplog.messages == [
        f"{path}: removed where there twice: epoch 3; lost, and not in the checkpoint: epoch 2; "
        f"{NOT_LINES}1"
    ]
    caplog.clear()
    mend_metrics(path, lines, epochs_done=EPOCHS)  # the next time it is said again
    assert caplog.messages == [f"{path}: lost, and not in the checkpoint: epoch 2"]


@pytest.mark.parametrize("saved", [[17, None, {"loss": 1.0}], [{"epoch": 9, "loss": 1.0}]])
def test_what_a_checkpoint_holds_is_checked_too(saved, tmp_path, caplog):
    assert mend_metrics(tmp_path / "metrics.jsonl", saved, epochs_done=1) == []
    assert "lost, and not in the checkpoint: epoch 1" in caplog.text


def test_a_folder_in_place_of_the_file(tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()
    for use in (read_metrics, lambda path: mend_metrics(path, [], epochs_done=1)):
        with pytest.raises(OutputError, match="metrics.jsonl is a folder; a file was wanted"):
            use(tmp_path / "metrics.jsonl")


def test_run_of_an_old_checkpoint_saves_its_lines(tmp_path, monkeypatch):
    train_without_computing(monkeypatch)
    save = RunCheckpoints._write

    def save_without_lines(self, step, state, about):
        del about["progress"]["lines"]
        save(self, step, state, about)

    with monkeypatch.context() as patch:
        patch.setattr(RunCheckpoints, "_write", save_without_lines)
        train(tmp_path, train={"epochs": 1})
    train(tmp_path, train={"epochs": 2}, resume=True)
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["epoch"] for line in lines] == [1, 2]
    about = restore_about(tmp_path / "checkpoints" / str(2 * STEPS))
    assert about.progress["lines"] == lines


def test_lost_checkpoints_are_told_and_the_metrics_kept(finished_run, tmp_path, monkeypatch):
    train_without_computing(monkeypatch)
    run = shutil.copytree(finished_run.workdir, tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    before = (run / "metrics.jsonl").read_bytes()
    with pytest.raises(CheckpointError, match="the checkpoints of the run are gone, .*--overwrite"):
        train(run, resume=True)
    assert (run / "metrics.jsonl").read_bytes() == before


def test_run_killed_before_its_first_checkpoint_starts_again(finished_run, tmp_path, monkeypatch):
    """The line of the first epoch is written before the first checkpoint."""
    train_without_computing(monkeypatch)
    run = shutil.copytree(finished_run.workdir, tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    metrics = run / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes().splitlines(keepends=True)[0])
    train(run, resume=True, train={"epochs": 1})
    assert [line["epoch"] for line in read_metrics(metrics)] == [1]
    assert saved_steps(run / "checkpoints") == [STEPS]
