"""Stops small training runs at random moments, resumes them, and compares them with one left alone.

    python tests/campaigns/random_kills.py                       ten runs
    python tests/campaigns/random_kills.py --count 30 --seed 7   thirty others

Each run is stopped one to four times by SIGKILL, SIGTERM, SIGINT or SIGHUP: while it imports, reads
data, compiles, trains, validates, saves, or evaluates its best checkpoint. In the end its metrics
(without times), its latest and its best weights must be those of the run left alone, to the bit;
every stop must have had its exit code and no traceback; no file may be there that is not the run's.

Run number n of `--seed s` is run number 0 of `--seed s+n`. Exit code 0: all runs were the same.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

PHASES = {
    "importing": 2.0,
    "reading data": 0.6,
    "compiling": 1.0,
    "training": 0.1,
    "validating": 0.2,
    "saving": 0.2,
    "evaluating the best": 0.2,
}
"""What a run does, in this order, and the seconds from its beginning within which it is stopped."""
REPEATED = ("training", "validating", "saving")
"""Phases that come again in every epoch."""
AFTER_STARTING = (*REPEATED, "evaluating the best")
"""Phases in which the run may be over before it heeds a signal."""
CODES = {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 75, signal.SIGHUP: 75}
SIGNALS = [signal.SIGKILL, *CODES]  # SIGKILL twice as often
OFTEN = 1e-9  # minutes: save after every dispatch
EPOCHS = 3
SECONDS = 600  # that a start may take on a busy machine


class Stop(NamedTuple):
    """One signal that a run was sent."""

    signal: signal.Signals
    phase: str
    """What the run did when the signal was sent."""


def main() -> int:
    """Runs the campaign that the options ask for; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=10, help="number of runs")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first run")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # nohup and shells ignore some
        signal.signal(number, signal.SIG_DFL)
    folder = Path(tempfile.mkdtemp(prefix="random-kills-"))
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    environment.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder / "compiled"))
    os.environ |= {"JAX_PLATFORMS": "cpu"}  # the weights are compared here
    whole = folder / "whole"
    start = Start(whole, ["--train.epochs", str(EPOCHS)], environment)
    if start.wait() != 0:
        raise SystemExit(f"without a stop: {start.told()}")
    stops: Counter[Stop] = Counter()
    failed = 0
    for seed in range(options.seed, options.seed + options.count):
        workdir = folder / f"seed-{seed}"
        sent, problems = stop_and_resume(workdir, environment, random.Random(seed))
        problems = problems or differences(workdir, whole)
        stops.update(sent)
        story = ", ".join(f"{stop.signal.name} {stop.phase}" for stop in sent)
        print(f"seed {seed}: {story}: {'; '.join(problems) or 'the same'}", flush=True)
        if problems:
            failed += 1
            print(f"  repeat with --seed {seed} --count 1; the run is in {workdir}", flush=True)
        else:
            shutil.rmtree(workdir)
    print(f"\n{table(stops)}\n\n{options.count} runs, {stops.total()} stops, {failed} runs differ")
    if not failed:
        shutil.rmtree(folder)
    return 1 if failed else 0


def stop_and_resume(
    workdir: Path, environment: dict[str, str], chance: random.Random
) -> tuple[list[Stop], list[str]]:
    """Starts a run, stops it now and then, and lets it end; returns its stops and its problems."""
    settings = ["--train.epochs", str(EPOCHS)]
    if chance.random() < 0.5:
        settings += ["--train.save-minutes", str(OFTEN)]
    sent: list[Stop] = []
    for _ in range(chance.randint(1, 4)):
        number, phase = chance.choice(SIGNALS), chance.choice(list(PHASES))
        entry = chance.randint(1, 3) if phase in REPEATED else 1
        delay = chance.uniform(0, PHASES[phase])
        start = Start(workdir, settings, environment)
        start.wait_for(phase, entry)
        time.sleep(delay)
        if not start.is_running():
            continue
        stop = Stop(number, start.phase())
        start.process.send_signal(number)
        code = start.wait()
        if code != 0:  # otherwise it came when all was done
            sent.append(stop)
        told = start.told()
        too_late = code == 0 and stop.phase in AFTER_STARTING
        wrong = code != CODES[number] and not too_late
        if wrong or any(word in told for word in ("Traceback", "ignored in")):
            return sent, [f"exit code {code} after {number.name} while {stop.phase}: {told}"]
    start = Start(workdir, settings, environment)
    code = start.wait()
    return sent, [] if code == 0 else [f"exit code {code} without a signal: {start.told()}"]


class Start:
    """A training run begun, or resumed if its folder holds one, in a process of its own."""

    def __init__(self, workdir: Path, settings: Sequence[str], environment: dict[str, str]):
        is_new = not (workdir / "config.yaml").exists()
        argv = [str(ROOT / "configs" / "smoke.yaml"), *settings] if is_new else ["--resume"]
        argv += ["--workdir", str(workdir), "--parallel.devices", "1"]
        self._log, self._phases = workdir.with_suffix(".log"), workdir.with_suffix(".phases")
        self._phases.write_text("")
        with self._log.open("w") as log:
            command = [sys.executable, __file__, "--child", str(self._phases), *argv]
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def is_running(self) -> bool:
        return self.process.poll() is None

    def wait_for(self, phase: str, entry: int) -> None:
        """Waits until a phase has begun so many times, or the process has ended."""
        end = time.monotonic() + SECONDS
        while self.is_running() and time.monotonic() < end:
            if self._phases.read_text().splitlines().count(phase) >= entry:
                return
            time.sleep(0.001)

    def phase(self) -> str:
        """What the process does now, or did last."""
        return self._phases.read_text().splitlines()[-1]

    def wait(self) -> int:
        """The exit code; that of SIGABRT for a process that does not end."""
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            return self.process.wait()

    def told(self) -> str:
        """What the process printed."""
        return self._log.read_text(errors="replace")


def child(phases: str, argv: Sequence[str]) -> int:
    """Trains as `rsnet-jax train` does, and writes each phase to a file when it begins."""
    from rsnet_jax.__main__ import main as run_command
    from rsnet_jax.cli.quitting import quit_at_signals

    def begin(phase: str) -> None:
        file.write(f"{phase}\n".encode())

    def marked(owner: object, name: str, phase: str, then: str | None = None) -> None:
        call = getattr(owner, name)

        def wrapped(*args, **kwargs):
            begin(phase)
            try:
                return call(*args, **kwargs)
            finally:
                if then is not None:
                    begin(then)

        setattr(owner, name, wrapped)

    with Path(phases).open("ab", buffering=0) as file:
        quit_at_signals("train", prog="rsnet-jax train")  # the first that the command does
        begin("importing")
        from rsnet_jax.training import loop

        marked(loop, "open_run", "reading data")
        marked(loop, "train_epochs", "compiling")
        marked(loop.RunMonitor, "after_dispatch", "training")
        marked(loop.Evaluator, "__call__", "validating", "training")
        marked(loop.RunCheckpoints, "save", "saving", "training")
        marked(loop, "finish", "evaluating the best")
        return run_command(["train", *argv])


def differences(workdir: Path, whole: Path) -> list[str]:
    """What a finished run has other than the run left alone, and files that should not be there."""
    from training_runs import assert_same_run

    found = []
    try:
        assert_same_run(workdir, whole)
    except AssertionError as error:
        found.append(f"metrics or weights differ: {' '.join(str(error).split())[:300]}")
    expected = {"config.yaml", "metrics.jsonl", ".rsnet_jax.lock", "tensorboard", "checkpoints"}
    strange = {path.name for path in workdir.iterdir()} - expected
    checkpoints = {path.name for path in (workdir / "checkpoints").iterdir()}
    strange |= checkpoints - {path.name for path in (whole / "checkpoints").iterdir()}
    strange |= {
        path.name
        for path in (workdir / "tensorboard").iterdir()
        if not path.name.startswith("events.out.")
    }
    return found + [f"left over: {name}" for name in sorted(strange)]


def table(stops: Counter[Stop]) -> str:
    """The stops by phase and signal, in Markdown."""
    names = [number.name for number in CODES]
    rows = [f"| phase | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for phase in PHASES:
        counts = (str(stops[Stop(number, phase)]) for number in CODES)
        rows.append(f"| {phase} | {' | '.join(counts)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        sys.exit(child(sys.argv[2], sys.argv[3:]))
    sys.exit(main())
