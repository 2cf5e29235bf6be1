"""Imported once by the server that forks the commands of tests: what is here, they find done."""

import importlib

from rsnet_jax.data.synthetic.clips import synthetic_clips

for name in (
    "orbax.checkpoint",
    "tensorboardX.event_file_writer",
    "tensorboardX.summary",
    "training_runs",
    "rsnet_jax.cli.evaluate",
    "rsnet_jax.cli.train",
):
    importlib.import_module(name)

synthetic_clips("noisy")
