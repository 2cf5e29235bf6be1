"""What a run tells: metrics.jsonl, TensorBoard, a progress bar, signals."""

import contextlib
import json
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import tqdm

from rsnet_jax.outputs import replacing


class MetricsLog:
    """`metrics.jsonl`, a line an epoch, and the same figures for TensorBoard."""

    def __init__(self, workdir: Path, *, epochs_done: int):
        """Drops lines after `epochs_done`: a run that was killed will write them again."""
        from tensorboardX import SummaryWriter  # slow to import

        self.path = workdir / "metrics.jsonl"
        kept = [line for line in read_metrics(self.path) if line["epoch"] <= epochs_done]
        with replacing(self.path) as partial:
            partial.write_text("".join(json.dumps(line) + "\n" for line in kept))
        purge = epochs_done + 1 if epochs_done else None
        self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=purge)

    def append(self, line: Mapping[str, Any]) -> None:
        """Adds an epoch."""
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in line.items():
            if name != "epoch":
                self._board.add_scalar(name, value, line["epoch"])
        self._board.flush()

    def close(self) -> None:
        """Ends the TensorBoard file."""
        self._board.close()


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
        disable=None,
        dynamic_ncols=True,
    )


class StopRequest:
    """Remembers that SIGINT or SIGTERM came, so that a run can save before it stops."""

    def __init__(self):
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler; a second SIGINT stops at once."""
        del frame
        if self.signal is signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)


@contextlib.contextmanager
def catching_signals() -> Iterator[StopRequest]:
    """Installs a `StopRequest` for SIGINT and SIGTERM while a run is under way."""
    request = StopRequest()
    before = {n: signal.signal(n, request.handle) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
