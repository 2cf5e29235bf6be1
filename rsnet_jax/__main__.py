"""`rsnet-jax ...` and `python -m rsnet_jax ...`: a signal is one line from the first moment on.

So nothing slow is imported before the handlers are there.
"""

import signal
import sys
from collections.abc import Sequence

from rsnet_jax.cli.quitting import UNINTERRUPTED, quit_at_signals


def main(
    argv: Sequence[str] | None = None, *, command: str | None = None, prog: str = "rsnet-jax"
) -> int:
    """Runs `command`, or the one that the command line names; returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    name = command or next(iter(argv), "")
    quit_at_signals(name, prog=prog if command else f"{prog} {name}".strip())

    from rsnet_jax.cli import main as commands

    if name not in UNINTERRUPTED and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if command is None:
        return commands.main(argv, prog=prog)
    return commands.run(command, argv, prog=prog)


if __name__ == "__main__":
    sys.exit(main(prog="python -m rsnet_jax"))
