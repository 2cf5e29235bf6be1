"""`python -m rsnet_jax SUBCOMMAND ...`."""

import sys

from rsnet_jax.cli.main import main

if __name__ == "__main__":
    sys.exit(main(prog="python -m rsnet_jax"))
