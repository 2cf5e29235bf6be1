"""The kernel's count of processes that it has killed for lack of memory (Linux)."""

import re
from pathlib import Path

_COUNT = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def count_oom_kills(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """The kills so far in the control group of this process; 0 where the kernel does not tell.

    Without a control group that counts them, those on the whole machine.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst (memory.events) and
    cgroup-v1/memory.rst (memory.oom_control); the line `oom_kill` of /proc/vmstat.
    """
    files = []
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, kinds, group = line.split(":", 2)
        if kinds == "":
            files.append(cgroups / group.strip("/") / "memory.events")
        elif "memory" in kinds.split(","):
            files.append(cgroups / "memory" / group.strip("/") / "memory.oom_control")
    for file in [*files, proc / "vmstat"]:
        if match := _COUNT.search(_text(file)):
            return int(match.group(1))
    return 0


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
