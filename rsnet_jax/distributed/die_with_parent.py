"""Becomes a command that the kernel kills as soon as its parent is gone (Linux).

Run as a file, `python -S -P die_with_parent.py PARENT COMMAND...`, so that it starts in no time.
A function between fork and exec would not do: JAX, imported by then, warns of any such fork.
"""

import contextlib
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # of linux/prctl.h; outlives exec


def main(parent: int, command: list[str]) -> None:
    """Asks the kernel, then becomes `command`, whose first word is the path of a program."""
    with contextlib.suppress(ImportError, AttributeError):  # a Python or a libc without them
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # gone before the kernel was asked
        os.kill(os.getpid(), signal.SIGKILL)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
