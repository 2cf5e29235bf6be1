"""Trains RS-Net: `python train.py [PRESET] [OPTIONS]`; `--help` tells them."""

import sys

from rsnet_jax.__main__ import main

if __name__ == "__main__":
    sys.exit(main(command="train", prog="train.py"))
