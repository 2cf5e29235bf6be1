"""Measures a checkpoint: `python evaluate.py [CHECKPOINT] [OPTIONS]`; `--help` tells them."""

import sys

from rsnet_jax.cli.main import run

if __name__ == "__main__":
    sys.exit(run("evaluate", sys.argv[1:], prog="evaluate.py"))
