"""Plants known faults in a copy of the checkout, one at a time, and names the test that sees each.

    python tests/campaigns/planted_faults.py                         every fault of the list
    python tests/campaigns/planted_faults.py --count 5 --seed 1      five, chosen by the seed
    python tests/campaigns/planted_faults.py --only "single GELU"    one
    python tests/campaigns/planted_faults.py --list                  their names

A fault is killed if one of its tests fails. Tests are first run without a fault, since a test that
fails anyway sees nothing. Exit code 0: every planted fault was killed; 1: some were not.
"""

import argparse
import dataclasses
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TIMEOUT = 1800  # seconds of one run of pytest


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The end of one run of pytest."""

    verdict: str  # "passed", "killed", "broken" (pytest cannot run the tests), "timeout"
    passed: int
    skipped: int
    test: str = ""
    """Node id of the first test that failed."""
    message: str = ""


def main() -> int:
    """Runs the campaign that the options ask for; returns the exit code."""
    options = parse_options()
    faults = runpy.run_path(str(options.faults))["FAULTS"]
    names = [fault.name for fault in faults]
    if len(set(names)) != len(names):
        raise SystemExit("two faults have the same name")
    if unknown := sorted(set(options.only) - set(names)):
        raise SystemExit(f"no fault called {unknown[0]!r}; --list shows the names")
    if options.only:
        faults = [fault for fault in faults if fault.name in options.only]
    if options.count is not None and options.count < len(faults):
        chosen = random.Random(options.seed).sample(range(len(faults)), options.count)
        faults = [faults[i] for i in sorted(chosen)]
    if options.list:
        print("\n".join(fault.name for fault in faults))
        return 0
    with tempfile.TemporaryDirectory(prefix="planted-faults-") as folder:
        copy = copy_checkout(options.tree, Path(folder) / "checkout")
        check_edits(faults, copy)
        if options.check:
            return 0
        if not options.no_baseline:
            check_baseline(faults, copy, wider=options.wider)
        return plant_all(faults, copy, wider=options.wider, report=options.report)


def parse_options() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, help="number of faults to plant; default: all")
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice of --count")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="faults by name")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    parser.add_argument("--check", action="store_true", help="check that every edit fits and stop")
    parser.add_argument(
        "--wider", nargs="+", default=[], metavar="TEST",
        help="tests to run where the fault's own tests all pass",
    )  # fmt: skip
    parser.add_argument("--no-baseline", action="store_true", help="skip the run without a fault")
    parser.add_argument("--report", type=Path, help="write a Markdown table to this file")
    parser.add_argument(
        "--faults", type=Path, default=HERE / "faults.py", help="Python file that defines FAULTS"
    )
    parser.add_argument(
        "--tree", type=Path, default=HERE.parents[1], help="checkout to test; it is not changed"
    )
    return parser.parse_args()


def copy_checkout(tree: Path, target: Path) -> Path:
    """Copies the files that git tracks, as they are in the working tree."""
    listing = subprocess.run(
        ["git", "-C", str(tree), "ls-files", "-z"], check=True, capture_output=True, text=True
    ).stdout
    for name in filter(None, listing.split("\0")):
        if (tree / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / name, target / name)
    return target


def check_edits(faults: Sequence[Any], copy: Path) -> None:
    """Ends the program unless every text to be replaced is found exactly once."""
    problems = []
    for fault in faults:
        for path, old, new in fault.edits:
            file = copy / path
            count = file.read_text().count(old) if file.is_file() else 0
            if count != 1:
                problems.append(f"{fault.name}: found {count} times in {path}: {old!r}")
            if old == new:
                problems.append(f"{fault.name}: changes nothing")
        for test in fault.tests:
            file, *function = test.split("[")[0].split("::")
            path = copy / file
            if not path.exists() or (function and f"def {function[0]}(" not in path.read_text()):
                problems.append(f"{fault.name}: there is no test {test}")
    if problems:
        raise SystemExit("\n".join(problems))


def check_baseline(faults: Sequence[Any], copy: Path, *, wider: Sequence[str]) -> None:
    """Ends the program if a test fails without a fault."""
    own = (test for fault in faults for test in fault.tests)
    tests = list(dict.fromkeys([*own, *wider]))
    outcome = run_tests(tests, copy)
    if outcome.verdict != "passed":
        raise SystemExit(f"without a fault: {outcome.verdict} {outcome.test}: {outcome.message}")
    print(f"without a fault: {outcome.passed} passed, {outcome.skipped} skipped", flush=True)


def plant_all(
    faults: Sequence[Any], copy: Path, *, wider: Sequence[str], report: Path | None
) -> int:
    """Plants the faults one after the other, prints a line about each, returns the exit code."""
    rows, alive = [], 0
    for fault in faults:
        began = time.monotonic()
        with planted(fault, copy):
            outcome = run_in_turn((*fault.tests, *wider), copy)
        if outcome.verdict == "killed":
            told = outcome.test
        else:
            alive += 1
            kind = "survived" if outcome.verdict == "passed" else outcome.verdict
            ran = " ".join([*fault.tests, *wider])
            told = f"{kind.upper()} ({outcome.passed} passed, {outcome.skipped} skipped): {ran}"
            told += f" {outcome.message}" if outcome.message else ""
        seconds = time.monotonic() - began
        print(f"{fault.name}: {told}  [{seconds:.0f} s] {outcome.message[:150]}", flush=True)
        rows.append(f"| {fault.name} | {told} |")
        if report is not None:
            report.write_text("\n".join(["| fault | test that fails |", "|---|---|", *rows, ""]))
    print(f"{len(faults)} faults, {len(faults) - alive} killed", flush=True)
    return 1 if alive else 0


@contextmanager
def planted(fault: Any, copy: Path) -> Iterator[None]:
    """Keeps a fault in the copy for the length of a `with` statement."""
    before = {path: (copy / path).read_text() for path, _, _ in fault.edits}
    try:
        for path, old, new in fault.edits:
            text = (copy / path).read_text()
            if text.count(old) != 1:
                raise SystemExit(f"{fault.name}: not found once in {path}: {old!r}")
            (copy / path).write_text(text.replace(old, new))
        yield
    finally:
        for path, text in before.items():
            (copy / path).write_text(text)


def run_in_turn(tests: Sequence[str], copy: Path) -> Outcome:
    """Runs one entry of `tests` after the other, up to the first failure."""
    total = Outcome("passed", 0, 0)
    for test in tests:
        outcome = run_tests([test], copy)
        total = dataclasses.replace(
            outcome,
            passed=total.passed + outcome.passed,
            skipped=total.skipped + outcome.skipped,
        )
        if outcome.verdict != "passed":
            break
    return total


def run_tests(tests: Sequence[str], copy: Path) -> Outcome:
    """Runs pytest up to the first failure, in the order of `tests`."""
    results = copy.parent / "results.xml"
    results.unlink(missing_ok=True)
    # Compiled files are told apart by size and second, which two faults may have in common.
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    # -m "": tests marked slow count too.
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-m", ""]
    command += ["-p", "no:cacheprovider", f"--junitxml={results}", *tests]
    process = subprocess.Popen(
        command,
        cwd=copy,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return Outcome("timeout", 0, 0, message=f"no end within {TIMEOUT} s")
    if process.returncode not in (0, 1, 2) or not results.exists():
        tail = " ".join(output[-300:].split())
        return Outcome("broken", 0, 0, message=f"pytest ended with {process.returncode}: {tail}")
    return read_results(results)


def read_results(file: Path) -> Outcome:
    """Reads the first failure out of a JUnit file."""
    cases = list(ElementTree.parse(file).iter("testcase"))
    skipped = sum(case.find("skipped") is not None for case in cases)
    for case in cases:
        for kind in ("failure", "error"):
            found = case.find(kind)
            if found is None:
                continue
            message = " ".join(found.get("message", "").split())
            if "collection failure" in message or not case.get("classname"):
                text = " ".join((found.text or "").split())[-300:]
                return Outcome("broken", 0, skipped, message=text)
            test = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
            return Outcome("killed", len(cases) - skipped - 1, skipped, test, message)
    return Outcome("passed", len(cases) - skipped, skipped)


if __name__ == "__main__":
    sys.exit(main())
