"""A program that becomes a command which the kernel kills when its parent process ends (Linux).

It is run as a file, `python -S -P die_with_parent.py PARENT COMMAND...`, since that starts in some
milliseconds. `preexec_fn` of `subprocess` is no way: JAX, imported by then, warns of such a fork.
"""

import contextlib
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # from linux/prctl.h; stays in force after exec


def main(parent: int, command: list[str]) -> None:
    """Sets the signal at the death of `parent`; becomes `command`, which begins with a path."""
    with contextlib.suppress(ImportError, AttributeError):  # no ctypes, or no prctl in libc
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the prctl call
        os.kill(os.getpid(), signal.SIGKILL)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
