"""The optimizers of the published recipes, and learning rates, published or for big batches."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rsnet_jax.config import OptimConfig


class TorchAmsgradState(NamedTuple):
    """Moments of the gradients, and the largest second moment so far."""

    count: Any  # t, updates so far
    mean: Any  # m
    square: Any  # v
    largest_square: Any  # v_max


def scale_by_torch_amsgrad(
    b1: float = 0.9, b2: float = 0.999, *, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Adam with AMSGrad as torch defines it: the step of each parameter from its gradient g.

        m     = b1 * m + (1 - b1) * g
        v     = b2 * v + (1 - b2) * g^2
        v_max = max(v_max, v)
        step  = (m / (1 - b1^t)) / (sqrt(v_max) / sqrt(1 - b2^t) + eps)

    at the t-th update, t = 1, 2, ... The maximum is taken over the raw second moment and corrected
    for its bias afterwards; optax's `scale_by_amsgrad` corrects first, so that a large first
    gradient is never forgotten.
    """

    def init(params: optax.Params) -> TorchAmsgradState:
        # Three trees of their own: a donated buffer must not appear twice.
        moments = (jax.tree.map(jnp.zeros_like, params) for _ in range(3))
        return TorchAmsgradState(jnp.zeros((), jnp.int32), *moments)

    def update(updates: optax.Updates, state: Any, params: Any = None):
        del params
        count = state.count + 1
        mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mean, updates)
        square = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.square, updates)
        largest = jax.tree.map(jnp.maximum, state.largest_square, square)
        # 1 - b^t = -expm1(t log b): in float32, the left side loses half its digits at the first
        # steps, and so does a log(b) of float32.
        mean_share = -jnp.expm1(count * math.log(b1))
        square_share = -jnp.expm1(count * math.log(b2))

        def step(m: jax.Array, v: jax.Array) -> jax.Array:
            return (m / mean_share) / (jnp.sqrt(v) / jnp.sqrt(square_share) + eps)

        return jax.tree.map(step, mean, largest), TorchAmsgradState(count, mean, square, largest)

    return optax.GradientTransformation(init, update)


def learning_rates(
    config: OptimConfig, *, epochs: int, steps_per_epoch: int, batch_size: int
) -> optax.Schedule:
    """The rate at each optimizer step, which is counted from 0, by the schedule of `config`.

    The first rate is learning_rate * batch_size / base_batch_size, or `learning_rate` without a
    `base_batch_size`. A warm-up of n steps multiplies step s = 0, 1, ... by min(1, (s + 1) / n).
    """
    scale = batch_size / (config.base_batch_size or batch_size)
    rate = config.learning_rate * scale
    if config.schedule == "steps":
        decayed = staircase(rate, decay=config.decay, every=config.decay_steps)
    elif config.schedule == "cosine":
        decayed = optax.cosine_decay_schedule(rate, epochs * steps_per_epoch)
    else:
        decayed = epochs_schedule(config, rate, epochs=epochs, steps_per_epoch=steps_per_epoch)
    warmup_steps = round(config.warmup_epochs * steps_per_epoch)
    if not warmup_steps:
        return decayed
    share = optax.linear_schedule(0.0, 1.0, warmup_steps)
    return lambda step: decayed(step) * share(step + 1)  # a first step at rate 0 would be wasted


def epochs_schedule(
    config: OptimConfig, rate: float, *, epochs: int, steps_per_epoch: int
) -> optax.Schedule:
    """Multiplies the rate once after each epoch, by `decay` or `large_decay`.

        rate of epoch 1     = rate
        rate of epoch e + 1 = rate of epoch e * large_decay  if large_decay_every divides e
                              rate of epoch e * decay        else if decay_every divides e

    and the same rate again otherwise. The rates are multiplied in float32, and looked up by epoch:
    `optax.piecewise_constant_schedule` computes each product in every step, which for a thousand
    epochs takes minutes to compile.
    """
    done = np.arange(epochs)  # before each epoch
    factors = np.where(done % config.decay_every == 0, np.float32(config.decay), np.float32(1))
    if config.large_decay_every:
        factors[done % config.large_decay_every == 0] = config.large_decay
    factors[0] = rate
    rates = np.multiply.accumulate(factors)
    rates[rates < np.finfo(np.float32).tiny] = 0  # as XLA does

    def schedule(step: Any) -> Any:
        return jnp.asarray(rates)[jnp.minimum(step // steps_per_epoch, epochs - 1)]

    return schedule


def staircase(rate: float, *, decay: float, every: int) -> optax.Schedule:
    """The decay by optimizer steps of SemGCN and the networks after it, bug included.

    With steps s = 1, 2, ..., the official code sets the rate to `rate * decay ** (s / every)`, but
    only at s = 1 and at multiples of `every`: the steps before the first multiple keep the rate of
    s = 1, which is `decay ** (1 / every)` times the one that was asked for.
    """

    def schedule(count: Any) -> Any:
        stairs = (count + 1) // every
        return rate * decay ** jnp.where(stairs > 0, stairs, 1 / every)

    return schedule


def clip_by_torch_norm(largest: float) -> optax.GradientTransformation:
    """Multiplies gradients g by min(1, largest / (|g| + 1e-6)), |g| their norm over all parameters.

    torch's `clip_grad_norm_`; `optax.clip_by_global_norm` lacks the 1e-6.
    """

    def clip(updates: optax.Updates, params: Any = None) -> optax.Updates:
        del params
        share = jnp.minimum(1, largest / (optax.tree.norm(updates) + 1e-6))
        return jax.tree.map(lambda g: g * share, updates)

    return optax.stateless(clip)


def make_optimizer(
    schedule: optax.Schedule, config: OptimConfig | None = None
) -> optax.GradientTransformation:
    """The optimizer of `config`, by default AMSGrad without clipping; there is no weight decay."""
    config = config or OptimConfig()
    clip = [] if config.clip_norm is None else [clip_by_torch_norm(config.clip_norm)]
    scale = scale_by_torch_amsgrad() if config.name == "amsgrad" else optax.scale_by_adam()
    return optax.chain(*clip, scale, optax.scale_by_learning_rate(schedule))
