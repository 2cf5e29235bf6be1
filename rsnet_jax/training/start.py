"""The start of a run: the checks of its numbers, and the state before the first step."""

import logging

import jax
import jax.numpy as jnp
import optax

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.load import load_checkpoint
from rsnet_jax.config import Config
from rsnet_jax.data.frames import Views
from rsnet_jax.errors import ConfigError
from rsnet_jax.models.build import init_refinement_variables, init_variables
from rsnet_jax.training.run_checkpoints import Progress
from rsnet_jax.training.seeds import check_seeds, stack_members, stacked_shapes
from rsnet_jax.training.settings import fewer_devices
from rsnet_jax.training.step import TrainState, fresh_sums

log = logging.getLogger(__name__)


def check_batch(
    config: Config,
    *,
    samples: int,
    devices: int,
    called: str | None = None,
    resumed: bool = False,
) -> int:
    """The steps of an epoch of `samples`, in which a last batch that is not full is left out.

    Args:
        config: its `train.batch_size` is that of all devices together, or with several seeds that
            of each seed, on one of the devices.
        samples: the samples of an epoch.
        devices: the number of devices.
        called: a name for these devices in the message; default: "N devices".
        resumed: whether the batch is that of a run to be resumed.

    Raises:
        ConfigError: the batch does not divide among the devices, or is larger than an epoch; or
            the seeds do not divide among the devices.
    """
    if config.train.seeds > 1:
        check_seeds(config, devices=devices, called=called, resumed=resumed)
        devices = 1
    batch, most = config.train.batch_size, samples // devices * devices
    if batch > samples:
        raise ConfigError(
            f"train.batch_size {batch} is larger than an epoch of {samples} samples; at most "
            f"{most} fits"
        )
    if batch % devices:
        below = batch // devices * devices
        fitting = [size for size in (below, below + devices) if 0 < size <= most]
        nearest = f"nearest: {' or '.join(map(str, fitting))}" if fitting else "none fits"
        raise ConfigError(
            f"train.batch_size {batch} does not divide among {called or f'{devices} devices'}; "
            f"{fewer_devices(batch, devices) if resumed else nearest}"
        )
    return samples // batch


def check_cameras(config: Config, train: Views, validation: Views) -> None:
    """Raises a ConfigError if refinement is to be trained with cameras that are not calibrated."""
    if config.train.refine and not (train.calibrated and validation.calibrated):
        raise ConfigError(
            "train.refine: refinement needs calibrated cameras, which the data do not have; train "
            "with --train.no-refine"
        )


def check_progress(progress: Progress, config: Config, *, samples: int) -> None:
    """Checks that a run can be resumed with this configuration and these data.

    Raises:
        ConfigError: the data are others, or the run has done more epochs than it is to have.
    """
    if progress.samples != samples:
        raise ConfigError(
            f"data.root: the run was started with {progress.samples} samples per epoch, these "
            f"data have {samples}"
        )
    if config.train.epochs < progress.epochs_done:
        raise ConfigError(
            f"train.epochs: the run has done {progress.epochs_done} already, more than "
            f"{config.train.epochs}"
        )


def fresh_state(
    config: Config, tx: optax.GradientTransformation, train: Views, *, init: bool
) -> TrainState:
    """The state before the first step: fresh weights, or (`init`) those of `train.init` if given.

    That of several seeds is in host memory, see `training.seeds`.

    Raises:
        CheckpointError, ConfigError: the weights to start from cannot be read or do not fit.
    """
    start = load_start(config, train) if init and config.train.init is not None else None
    if config.train.seeds == 1:
        return _state_from(start, config, tx, train)
    return stack_members(
        [
            jax.device_get(_state_from(start, config.of_seed(seed), tx, train))
            for seed in config.seeds
        ]
    )


def state_shapes(config: Config, tx: optax.GradientTransformation, train: Views) -> TrainState:
    """The shapes and types of the arrays of `fresh_state`."""
    alone = jax.eval_shape(lambda: _state_from(None, config, tx, train))
    seeds = config.train.seeds
    return alone if seeds == 1 else stacked_shapes(alone, seeds=seeds)


def _state_from(
    start: Checkpoint | None, config: Config, tx: optax.GradientTransformation, train: Views
) -> TrainState:
    """The state of one run before the first step, with the weights of `start` if there is one."""
    if start is None:
        variables = init_variables(config, train.skeleton, train.keypoint_skeleton)
    else:
        variables = start.variables
    refinement = None
    if config.train.refine:
        refinement = start.refine_variables if start is not None else None
        refinement = refinement or init_refinement_variables(config, train.skeleton)
    params = {"network": variables["params"]} | (
        {"refinement": refinement["params"]} if refinement else {}
    )
    return TrainState(
        step=jnp.int32(0),
        params=params,
        batch_stats=variables["batch_stats"],
        opt_state=jax.jit(tx.init)(params),  # one program instead of one per array
        sums=fresh_sums(),
    )


def load_start(config: Config, train: Views) -> Checkpoint:
    """The checkpoint `train.init`, which must be of the network that is to be trained.

    Raises:
        CheckpointError: it cannot be read.
        ConfigError: it is of another network.
    """
    assert config.train.init is not None
    # What a published .pth does not tell of itself is what the configuration says.
    start = load_checkpoint(config.train.init, **config.model.model_dump())
    own = start.config.model.model_dump()
    both_refine = config.train.refine and start.refine_variables is not None
    for name, wanted in config.model.model_dump().items():
        changeable = "dropout" in name or (name == "refine_hidden" and not both_refine)
        if not changeable and own.get(name) != wanted:
            raise ConfigError(
                f"train.init: {start.source} has {name} {own.get(name)}, but model.{name} is "
                f"{wanted}"
            )
    for name in ("skeleton", "keypoint_skeleton"):
        got, found = getattr(start, name), getattr(train, name)
        if got != found:
            raise ConfigError(
                f"train.init: {start.source} is for {name.replace('_', ' ')} {got.name}, the data "
                f"have {found.name}"
            )
    refinement = "no refinement"
    if start.refine_variables is not None:
        refinement = "its refinement too" if config.train.refine else "its refinement is not used"
    elif config.train.refine:
        refinement = "the refinement is fresh"
    log.info("starting from the weights of %s; %s", start.source, refinement)
    return start
