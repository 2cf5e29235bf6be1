"""Damages weight, data and settings files at random, and checks how each is read.

    python tests/campaigns/damaged_files.py --count 300 --seed 1     300 cases of every kind
    python tests/campaigns/damaged_files.py --only yaml --case 17    one case, as it came in a run
    python tests/campaigns/damaged_files.py --list                   the kinds

Every damaged file must be read with equal content, read with other content (where the damage is in
numbers that no checksum covers), or refused by an error of this package: one printable line, in
bounded time and memory, without a warning. Exit code 0: all were; 1: some were not.
"""

import argparse
import collections
import json
import logging
import os
import random
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

SECONDS = 60  # of one case, on a crowded machine
START_SECONDS = 600  # of the imports and of the files to damage
MORE_BYTES = 3 * 2**30  # of address space, beyond what a process takes before the first case
MORE_RESIDENT = 2**30
LONGEST = 1200  # characters of a message
GOOD = ("equal", "other content", "refused")


def main() -> int:
    """Runs the campaign that the options ask for; returns the exit code."""
    options = parse_options()
    if options.child:
        run_cases(options.child, options.seed, range(options.start, options.stop), options.keep)
        return 0
    kinds = list_kinds()
    if unknown := sorted(set(options.only) - set(kinds)):
        raise SystemExit(f"no kind called {unknown[0]!r}; --list shows them")
    if options.list:
        print("\n".join(kinds))
        return 0
    cases = range(options.count) if options.case is None else range(options.case, options.case + 1)
    counts = {
        kind: run_kind(kind, options.seed, cases, options.keep)
        for kind in kinds
        if not options.only or kind in options.only
    }
    total = sum(counts.values(), collections.Counter())
    print(table(counts))
    bad = sum(count for outcome, count in total.items() if outcome not in GOOD)
    print(f"seed {options.seed}: {total.total()} damaged files, {bad} read or refused wrongly")
    return 1 if bad else 0


def parse_options() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=100, help="damaged files of each kind")
    parser.add_argument("--seed", type=int, default=0, help="seed of the damage")
    parser.add_argument("--only", nargs="+", default=[], metavar="KIND", help="kinds of files")
    parser.add_argument("--case", type=int, help="number of one case to repeat")
    parser.add_argument("--keep", type=Path, help="folder to copy the damaged file of --case to")
    parser.add_argument("--list", action="store_true", help="print the kinds and stop")
    for name in ("--child", "--start", "--stop"):  # between this process and those it starts
        kind = str if name == "--child" else int
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    return parser.parse_args()


def list_kinds() -> list[str]:
    """The names of the kinds of files."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from file_kinds import KINDS

    return list(KINDS)


def run_kind(kind: str, seed: int, cases: range, keep: Path | None) -> collections.Counter[str]:
    """Runs cases in a process of their own, anew after a crash; prints what went wrong."""
    counts: collections.Counter[str] = collections.Counter()
    start = cases.start
    while start < cases.stop:
        for number, outcome, text in outcomes(kind, seed, range(start, cases.stop), keep):
            counts[outcome] += 1
            start = number + 1
            if outcome not in GOOD:
                again = f"--only {kind!r} --seed {seed} --case {number}"
                print(f"{kind}: {outcome}: {text!r:.600}; again with {again}", flush=True)
    print(f"{kind}: {dict(counts)}", flush=True)
    return counts


def outcomes(
    kind: str, seed: int, cases: range, keep: Path | None
) -> Iterator[tuple[int, str, str]]:
    """Yields number, outcome and message of the cases, up to the first that ends the process."""
    command = [sys.executable, str(HERE / "damaged_files.py"), "--child", kind, "--seed", str(seed)]
    command += ["--start", str(cases.start), "--stop", str(cases.stop)]
    command += [] if keep is None else ["--keep", str(keep)]
    number, waiting = cases.start, START_SECONDS
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout
        lines = Lines(process.stdout.fileno())
        try:
            while number < cases.stop:
                line = lines.next(waiting)
                if line is None:
                    yield number, "no end", f"within {waiting} s"
                    return
                if not line:
                    code = process.wait()
                    yield number, "crash", f"the process ended with {code}"
                    return
                number, outcome, text = json.loads(line)
                yield number, outcome, text
                number, waiting = number + 1, SECONDS
        finally:
            process.kill()


class Lines:
    """Lines of a pipe, waited for so long and no longer."""

    def __init__(self, descriptor: int):
        self._descriptor = descriptor
        self._data = b""

    def next(self, seconds: float) -> bytes | None:
        """The next line; None if none comes in time, empty at the end."""
        while b"\n" not in self._data:
            if not select.select([self._descriptor], [], [], seconds)[0]:
                return None
            piece = os.read(self._descriptor, 2**16)
            if not piece:
                return b""
            self._data += piece
        line, _, self._data = self._data.partition(b"\n")
        return line


def run_cases(kind: str, seed: int, cases: range, keep: Path | None) -> None:
    """In a process of its own: damages and reads files, and prints a line of JSON about each."""
    from file_kinds import KINDS

    answers = os.fdopen(os.dup(1), "w")
    logging.getLogger("rsnet_jax").addHandler(logging.NullHandler())
    logging.getLogger("rsnet_jax").propagate = False
    with tempfile.TemporaryDirectory(prefix="damaged-files-") as folder, \
            tempfile.TemporaryFile() as printed:  # fmt: skip
        good, bad = Path(folder) / "good", Path(folder) / "bad"
        good.mkdir()
        KINDS[kind].make(good)
        wanted = KINDS[kind].read(good)
        limit = address_space() + MORE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for descriptor in (1, 2):
            os.dup2(printed.fileno(), descriptor)
        for number in cases:
            shutil.copytree(good, bad)
            try:
                KINDS[kind].damage(bad, random.Random(f"{seed}/{kind}/{number}"))
            except Exception:
                fault = [number, "fault of the campaign", traceback.format_exc()]
                print(json.dumps(fault), file=answers, flush=True)
                shutil.rmtree(bad)
                continue
            if keep is not None:
                shutil.copytree(bad, keep, dirs_exist_ok=True)
            before = os.fstat(2).st_size
            outcome, text = judge(KINDS[kind], bad, wanted)
            if outcome in GOOD and os.fstat(2).st_size > before:
                outcome, text = (
                    "noise",
                    os.pread(printed.fileno(), 400, before).decode(errors="replace"),
                )
            print(json.dumps([number, outcome, text]), file=answers, flush=True)
            shutil.rmtree(bad)


def judge(kind: Any, folder: Path, wanted: Any) -> tuple[str, str]:
    """Reads a damaged file; returns the outcome, and the message if it was refused."""
    from rsnet_jax.errors import RSNetError

    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            outcome, text = ("equal" if kind.read(folder) == wanted else "other content"), ""
        except RSNetError as error:
            text = str(error)
            outcome = "refused" if text.isprintable() and len(text) < LONGEST else "bad message"
        except BaseException as error:
            outcome, text = "traceback", f"{type(error).__name__}: {str(error):.300}"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident) * 1024
    if outcome in GOOD and grown > MORE_RESIDENT:
        return "memory", f"{grown:,} bytes; {text}"
    if outcome in GOOD and warned:
        return "warning", f"{warned[0].message}; {text}"
    return outcome, text


def address_space() -> int:
    """The bytes of addresses that this process has taken."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


def table(counts: dict[str, collections.Counter[str]]) -> str:
    """The counts as a table in Markdown."""
    others = sorted({name for kind in counts.values() for name in kind} - set(GOOD))
    columns = [*GOOD, *others]
    rows = [f"| kind | files | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for kind, found in counts.items():
        cells = " | ".join(str(found[name]) for name in columns)
        rows.append(f"| {kind} | {found.total()} | {cells} |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
