import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rsnet_jax.distributed import child, launcher
from rsnet_jax.distributed.child import ProcessExit
from rsnet_jax.distributed.launcher import LaunchResult, launch, summarize
from rsnet_jax.distributed.oom_kills import count_oom_kills

STAND_IN = """
import os, signal, sys, time
from pathlib import Path

number, count, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
(folder / f"pid-{number}").write_text(str(os.getpid()))

def meet(place="here"):
    (folder / f"{place}-{number}").touch()
    while len(list(folder.glob(f"{place}-*"))) < count:
        time.sleep(0.005)

def signal_launcher(name):
    os.kill(os.getppid(), getattr(signal, name))

def on(name, action):
    def handle(*_):
        with (folder / f"got-{number}").open("a") as file:
            file.write(name + " ")
        action()
    signal.signal(getattr(signal, name), handle)
"""
WAIT = "\nwhile True: time.sleep(0.01)\n"
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def commands(folder, script, count=3):
    words = [sys.executable, "-S", "-c", STAND_IN + script]
    return [[*words, str(number), str(count), str(folder)] for number in range(count)]


def run(folder, script, count=3, **settings):
    """Launches stand-ins; afterwards none is left, and signals are handled as before."""
    before = [signal.getsignal(number) for number in SIGNALS]
    outcome = launch(commands(folder, script, count), **settings)
    assert not any(map(is_running, pids(folder)))
    assert [signal.getsignal(number) for number in SIGNALS] == before
    return outcome


def pids(folder):
    return [int(path.read_text() or 0) for path in folder.glob("pid-*")]


def is_running(pid):
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def wait_until(condition, *, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def received(folder):
    return [path.read_text().split() for path in sorted(folder.glob("got-*"))]


@pytest.mark.parametrize("count", [1, 3])
def test_success_shows_process_0_only(tmp_path, capfd, count):
    script = "meet(); print('out', number); print('err', number, file=sys.stderr)"
    assert run(tmp_path, script, count) == LaunchResult(0)
    assert capfd.readouterr() == ("out 0\n", "err 0\n")


def test_a_killed_process_ends_the_others(tmp_path, capfd):
    script = """
print("loading", number)
meet()
if number == 1:
    os.kill(os.getpid(), signal.SIGKILL)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
"""
    start = time.monotonic()
    outcome = run(tmp_path, script + WAIT, grace=0.3)
    assert 0.3 < time.monotonic() - start < 10
    assert outcome == LaunchResult(
        1,
        "process 1 of 3 failed first: killed by SIGKILL from outside; it did not say why; the "
        "others were stopped",
        ("[process 1] loading 1",),
    )
    assert capfd.readouterr() == ("loading 0\n", "")


def test_survivors_that_abort_are_not_blamed(tmp_path):
    script = """
meet()
if number == 2:
    print("ValueError: boom\\n    @     0x7f0140e40634  absl::Flush()", file=sys.stderr)
    (folder / "gone").touch()
    os._exit(3)
while not (folder / "gone").exists(): time.sleep(0.005)
time.sleep(0.005)
print("Socket closed")
os.abort()
"""
    outcome = run(tmp_path, script)
    assert outcome.code == 1 and outcome.lines == ("[process 2] ValueError: boom",)
    assert "process 2 of 3 failed first: exit code 3; its last line: Val" in outcome.message


def test_the_error_line_is_not_always_the_last(tmp_path):
    script = "meet()\nif number: print('XlaError: no memory\\nhint'); sys.exit(1)"
    outcome = run(tmp_path, script + WAIT, 2, grace=0)
    assert "its last line: XlaError: no memory;" in outcome.message
    assert outcome.lines[-1] == "[process 1] hint"


@pytest.mark.parametrize("count", [1, 2])
def test_process_0_fails(tmp_path, capfd, count):
    script = "meet(); number or sys.exit('boom')"
    outcome = run(tmp_path, script + WAIT, count, grace=0)
    assert (outcome.code, outcome.lines) == (1, ())
    assert f"process 0 of {count} failed" in outcome.message and "is above" in outcome.message
    assert ("the others" in outcome.message) == (count > 1)
    assert capfd.readouterr().err == "boom\n"


def test_a_users_error_is_told_once(tmp_path, capfd):
    script = """
meet()
time.sleep(0.2 * (number == 0))
print("error: no such preset", file=sys.stderr)
sys.exit(2)
"""
    assert run(tmp_path, script) == LaunchResult(2)
    assert capfd.readouterr().err == "error: no such preset\n"


def test_a_users_error_of_another_process(tmp_path, capfd):
    script = "meet()\nif number == 1: print('train: error: disk full'); sys.exit(2)"
    outcome = run(tmp_path, script + WAIT, grace=0.1)
    assert (outcome.code, outcome.lines) == (2, ())
    assert "process 1 of 3 failed first: exit code 2" in outcome.message
    assert "train: error: disk full" in outcome.message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("sent", "got", "code", "message"),
    [
        ("SIGTERM", "SIGTERM", 75, "stopped by SIGTERM"),
        ("SIGHUP", "SIGTERM", 75, "stopped by SIGTERM"),
        ("SIGINT", "SIGINT", 130, "interrupted"),
    ],
)
def test_signals_are_passed_on_once_and_waited_for(tmp_path, sent, got, code, message):
    script = f"""
def save():
    time.sleep(0.3 * number)  # longer than the grace
    sys.exit({code})
on("{got}", save)
meet()
if number == 2: signal_launcher("{sent}")
"""
    assert run(tmp_path, script + WAIT, grace=0.1) == LaunchResult(code, message)
    assert received(tmp_path) == [[got]] * 3


def test_a_second_interrupt_kills(tmp_path):
    script = """
on("SIGINT", lambda: meet("interrupted") or signal_launcher("SIGINT"))
meet()
if number == 0: signal_launcher("SIGINT")
"""
    outcome = run(tmp_path, script + WAIT)
    assert outcome == LaunchResult(130, "interrupted; 3 of 3 processes did not end and were killed")


def test_processes_that_do_not_stop(tmp_path):
    script = """
on("SIGTERM", lambda: number or sys.exit(75))
meet()
if number == 0: signal_launcher("SIGTERM")
"""
    message = "stopped by SIGTERM; 2 of 3 processes did not end and were killed"
    assert run(tmp_path, script + WAIT, save_timeout=0.5, grace=0) == LaunchResult(75, message)


def test_a_process_that_dies_while_the_others_save(tmp_path):
    script = """
on("SIGTERM", lambda: number == 1 and os.kill(os.getpid(), signal.SIGSEGV))
meet()
if number == 0: signal_launcher("SIGTERM")
"""
    outcome = run(tmp_path, script + WAIT, grace=0.1)
    assert outcome.code == 1 and "killed by SIGSEGV; it printed nothing" in outcome.message


@pytest.mark.parametrize("text", ["'x' * 5_000_000", "'word\\n' * 1_000_000", "'\\xff\\n' * 9"])
def test_much_output_blocks_nothing(tmp_path, text):
    script = f"if number: print({text}); sys.exit(7)"
    outcome = run(tmp_path, script, 2)
    assert outcome.code == 1 and 0 < len(outcome.lines) <= child.KEPT_LINES
    assert max(map(len, outcome.lines)) < child.LINE_BYTES + 20


def test_nothing_is_left_after_an_error_of_ours(tmp_path, monkeypatch):
    def fail(children, *_, **__):
        wait_until(lambda: len(pids(tmp_path)) == 3)
        raise KeyError

    monkeypatch.setattr(launcher, "_watch", fail)
    with pytest.raises(KeyError):
        launch(commands(tmp_path, WAIT))
    assert not any(map(is_running, pids(tmp_path)))


def start_launcher(folder, script, shell=""):
    words = commands(folder, script)
    # A bare package in the place of ours, which would import JAX.
    package = "package = sys.modules['rsnet_jax'] = types.ModuleType('rsnet_jax')"
    path = f"package.__path__ = [{str(Path(launcher.__file__).parents[1])!r}]"
    launch_ = f"from rsnet_jax.distributed.launcher import launch; sys.exit(launch({words}).code)"
    code = f"import sys, types; {package}; {path}; {launch_}"
    return subprocess.Popen(["sh", "-c", f'{shell} exec "$0" -c "$1"', sys.executable, code])


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_nothing_outlives_a_killed_launcher(tmp_path):
    process = start_launcher(tmp_path, "meet('started')" + WAIT)
    wait_until(lambda: len(list(tmp_path.glob("started-*"))) == 3)
    assert all(map(is_running, pids(tmp_path)))
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(is_running, pids(tmp_path))))


def test_in_the_background_of_a_shell(tmp_path):
    """SIGINT is ignored at the start; the processes must not inherit that."""
    script = """
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
on("SIGINT", lambda: sys.exit(130))
meet("started")
"""
    process = start_launcher(tmp_path, script + WAIT, shell="trap '' INT;")
    wait_until(lambda: len(list(tmp_path.glob("started-*"))) == 3)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert received(tmp_path) == [["SIGINT"]] * 3


def test_a_process_that_cannot_start(tmp_path, monkeypatch):
    monkeypatch.setattr(child, "_dying_with_launcher", list)
    words = [*commands(tmp_path, WAIT)[:2], [str(tmp_path / "nothere")]]
    with pytest.raises(child.TrainingError, match="process 2 could not be started: No such"):
        launch(words)
    assert not any(map(is_running, pids(tmp_path)))


@pytest.mark.parametrize(
    ("codes", "forwarded", "code"),
    [
        ([0, 0], [], 0),
        ([0, 0], [signal.SIGTERM], 0),  # it came when all was done
        ([75, 75], [], 75),  # the processes were told, not the launcher
        ([130, -6], [], 130),  # what follows is of no interest
        ([-15, -15], [signal.SIGTERM], 75),  # came before they could listen
        ([-15, 0], [], 1),
        ([-2, 0], [signal.SIGINT], 130),
        ([1, -6], [signal.SIGINT], 130),
        ([2, -6], [signal.SIGTERM], 2),  # the disk was full
        ([-40, 0], [], 1),
        ([255, 0], [], 1),
    ],
)
def test_exit_codes(codes, forwarded, code):
    endings = [ProcessExit(number, code, stopped=False) for number, code in enumerate(codes)]
    assert summarize(endings, forwarded, lines=[[], []]).code == code


@pytest.mark.parametrize(
    ("code", "oom_kills", "told"),
    [
        (-9, 0, "failed: killed by SIGKILL from outside; it did"),
        (-9, 2, "failed: killed by SIGKILL; meanwhile the kernel killed 2 for lack of memory; it"),
        (-11, 1, "failed: killed by SIGSEGV; it"),
    ],
)
def test_memory_is_named_with_evidence_only(code, oom_kills, told):
    exits = [ProcessExit(1, code, stopped=False)]
    assert told in summarize(exits, [], lines=[[], ["loading"]], oom_kills=oom_kills).message


VMSTAT = "nr_free_pages 9\noom_kill 7\n"


@pytest.mark.parametrize(
    ("groups", "file", "content", "count"),
    [
        ("0::/a/b\n", "sys/a/b/memory.events", "low 0\noom 4\noom_kill 3\n", 3),
        ("0::/\n", "sys/memory.events", "oom_kill 0\n", 0),
        ("5:cpu:/\n4:memory:/a\n0::/\n", "sys/memory/a/memory.oom_control", "oom_kill 5\n", 5),
        ("4:cpu,memory:/a\n", "sys/memory/a/memory.oom_control", "under_oom 0\n", 7),
        ("0::/a\n", "elsewhere", "", 7),
    ],
)
def test_count_of_processes_killed_for_lack_of_memory(tmp_path, groups, file, content, count):
    proc = tmp_path / "proc"
    assert count_oom_kills(proc, tmp_path / "sys") == 0
    for name, text in [("self/cgroup", groups), ("vmstat", VMSTAT)]:
        (proc / name).parent.mkdir(parents=True, exist_ok=True)
        (proc / name).write_text(text)
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(content)
    assert count_oom_kills(proc, tmp_path / "sys") == count
