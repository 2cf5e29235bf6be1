"""Trains RS-Net: `python train.py [PRESET] [OPTIONS]`; `--help` tells them."""

import sys

from rsnet_jax.cli.main import run

if __name__ == "__main__":
    sys.exit(run("train", sys.argv[1:], prog="train.py"))
