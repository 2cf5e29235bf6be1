"""Imported once by the server that forks the commands of tests: what is here, they find done."""

import orbax.checkpoint  # noqa: F401
import tensorboardX.event_file_writer
import tensorboardX.summary  # noqa: F401
import training_runs  # noqa: F401

import rsnet_jax.cli.evaluate
import rsnet_jax.cli.train  # noqa: F401
from rsnet_jax.data.synthetic.clips import synthetic_clips

synthetic_clips("noisy")
