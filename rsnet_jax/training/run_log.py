"""What a run tells: metrics.jsonl, TensorBoard, a progress bar, signals."""

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tqdm

from rsnet_jax.distributed.processes import is_process_zero, run_on_process_zero
from rsnet_jax.errors import OutputError
from rsnet_jax.files.outputs import atomic_write
from rsnet_jax.files.paths import append, is_remote


class MetricsLog:
    """`metrics.jsonl`, a line an epoch, and the same figures for TensorBoard.

    Of several processes, the first alone writes.
    """

    def __init__(self, workdir: Path, *, epochs_done: int):
        """Drops lines after `epochs_done`: a run that was killed will write them again.

        Raises:
            OutputError: the files cannot be written; `append` raises it too.
        """
        self.path = workdir / "metrics.jsonl"
        self._board: Board | None = None
        run_on_process_zero(lambda: self._open(epochs_done))

    def _open(self, epochs_done: int) -> None:
        kept = [line for line in read_metrics(self.path) if line["epoch"] <= epochs_done]
        with atomic_write(self.path) as partial:
            partial.write_text("".join(json.dumps(line) + "\n" for line in kept))
        with _reporting_failure(self.path.parent):
            self._board = Board(self.path.parent / "tensorboard", after=epochs_done)

    def append(self, line: Mapping[str, Any]) -> None:
        """Adds an epoch."""
        run_on_process_zero(lambda: self._append(line))

    def _append(self, line: Mapping[str, Any]) -> None:
        assert self._board is not None
        with _reporting_failure(self.path.parent):
            append(self.path, json.dumps(line) + "\n")
            self._board.add({name: line[name] for name in line if name != "epoch"}, line["epoch"])

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Ends the TensorBoard file."""
        if self._board is None:
            return
        with contextlib.suppress(OSError) if kind else _reporting_failure(self.path.parent):
            self._board.close()


class Board:
    """Figures for TensorBoard.

    tensorboardX's `SummaryWriter` writes in a thread that dies of a full disk and leaves its
    caller waiting; this writes at once. For an object store, which cannot append, it writes to a
    temporary folder and sends its file anew each time.
    """

    def __init__(self, folder: Path, *, after: int):
        """TensorBoard will not show what earlier files of the folder hold beyond step `after`."""
        from tensorboardX.event_file_writer import EventsWriter  # slow to import
        from tensorboardX.proto import event_pb2
        from tensorboardX.summary import scalar

        self._messages: Any = event_pb2  # made by protobuf, without types
        self._scalar = scalar
        self._folder = folder
        self._here = tempfile.TemporaryDirectory() if is_remote(folder) else None
        if self._here is None:
            folder.mkdir(exist_ok=True)
        self._writer = EventsWriter(str(Path(self._here.name if self._here else folder) / "events"))
        if after:
            log = self._messages.SessionLog
            self._write(after + 1, session_log=log(status=log.START))

    def add(self, figures: Mapping[str, float], step: int) -> None:
        """Adds the figures of one step."""
        for name, value in figures.items():
            self._write(step, summary=self._scalar(name, value))
        self._writer.flush()
        self._send()

    def _write(self, step: int, **content: Any) -> None:
        self._writer.write_event(self._messages.Event(wall_time=time.time(), step=step, **content))

    def _send(self) -> None:
        for file in Path(self._here.name).iterdir() if self._here else ():
            (self._folder / file.name).write_bytes(file.read_bytes())

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()
        self._send()
        if self._here is not None:
            self._here.cleanup()


@contextlib.contextmanager
def _reporting_failure(workdir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{workdir}: the metrics cannot be written: {error.strerror or error}; what was saved "
            "before is intact, continue with --resume"
        ) from None


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The epochs in a `metrics.jsonl`; a last line that a crash cut short is left out."""
    lines = []
    for text in path.read_text().splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            lines.append(json.loads(text))
    return lines


def epoch_bar(epoch: int, epochs: int, *, samples: int, done: int) -> tqdm.tqdm:
    """A bar over the samples of one epoch: rate and time left; quiet when not on a terminal."""
    return tqdm.tqdm(
        desc=f"epoch {epoch}/{epochs}",
        total=samples,
        initial=done,
        unit=" samples",
        unit_scale=True,
        leave=False,
        disable=None if is_process_zero() else True,
        dynamic_ncols=True,
    )
