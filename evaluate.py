"""Measures a checkpoint: `python evaluate.py [CHECKPOINT] [OPTIONS]`; `--help` tells them."""

import sys

from rsnet_jax.__main__ import main

if __name__ == "__main__":
    sys.exit(main(command="evaluate", prog="evaluate.py"))
