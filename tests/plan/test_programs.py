import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rsnet_jax.config import Config, DataConfig, RSNetConfig, TrainConfig
from rsnet_jax.data.load import load_frames
from rsnet_jax.errors import ConfigError
from rsnet_jax.plan.chips import parse_topology
from rsnet_jax.plan.estimate import count_for
from rsnet_jax.plan.estimate import with_batch as with_batch_of
from rsnet_jax.plan.programs import (
    TEST_VIEWS,
    TRAIN_VIEWS,
    devices_of,
    evaluation_program,
    training_program,
    views_without_values,
)
from rsnet_jax.plan.report import plan_lines, table
from rsnet_jax.plan.traced_cost import trace_cost

SMALL = Config(
    model=RSNetConfig(width=4, blocks=1, refine_hidden=8),
    train=TrainConfig(batch_size=64, refine=True, epochs=2),
)


def with_batch(batch):
    return SMALL.model_copy(update={"train": TrainConfig(batch_size=batch, refine=True)})


def test_trace_cost_counts_products_sums_and_hashes_of_inner_loops():
    devices = devices_of(jax.devices()[:2])

    def run(x):
        outside = x @ x  # (4, 4): not of the loop

        def body(carry, _):
            def inner(carry, _):
                return carry @ x, None

            carry, _ = jax.lax.scan(inner, carry, length=3)
            drawn = jax.random.bits(jax.random.fold_in(jax.random.key(0), 1), (5, 7), jnp.uint32)
            total = jax.lax.psum((carry, carry[0]), "data")  # at once
            carry += total[0] @ x
            carry += jax.lax.psum(carry[:1].sum(), "data") + drawn.sum()
            return carry, None

        return jax.lax.scan(body, outside, length=9)[0]

    traced = trace_cost(
        devices.compile_spmd(run).trace(jax.ShapeDtypeStruct((4, 4), jnp.float32)).jaxpr
    )
    assert traced.flops == 4 * (2 * 4**3)
    assert traced.product_bytes == 4 * (3 * 16 * 4)
    assert traced.reduced_bytes == 16 * 4 + 4 * 4 + 4
    assert traced.all_reduces == 2
    assert traced.random_bits == 64 * (5 * 7 + 1)


def test_trace_cost_refuses_a_program_without_a_scan():
    with pytest.raises(ValueError, match="no scan"):
        trace_cost(jax.jit(lambda x: x + 1).trace(1.0).jaxpr)


def test_random_bits_per_device_do_not_depend_on_the_devices():
    one, eight = (
        trace_cost(
            training_program(with_batch(64 * n), devices_of(jax.devices()[:n]))[0].trace().jaxpr
        )
        for n in (1, 8)
        for program, _ in [training_program(with_batch(64 * n), devices_of(jax.devices()[:n]))]
    )
    assert one.random_bits == eight.random_bits
    # A byte for each output of the three layers that drop (16 channels, 16 joints), once more for
    # those whose activation is computed again (input, gelu_0); eight for the refinement; per row.
    drawn = 8 * 64 * (5 * 16 * 16 + 8)
    assert drawn <= one.random_bits <= drawn + 64 * 16  # and the keys of them
    # Besides gradients, eight devices add up the batch statistics and the gradients of these.
    assert (one.all_reduces, eight.all_reduces) == (1, 3)
    assert one.flops == eight.flops


def test_views_without_values_have_the_types_of_real_ones():
    real = load_frames(DataConfig(every=50), "test")
    made = views_without_values(1000)
    for field in dataclasses.fields(real):
        ours, theirs = getattr(made, field.name), getattr(real, field.name)
        if isinstance(theirs, np.ndarray):
            assert (ours.dtype, ours.ndim) == (theirs.dtype, theirs.ndim), field.name
            assert ours.shape[1:] == theirs.shape[1:], field.name
    assert made.skeleton == real.skeleton
    assert len(made) == 1000 and made.keypoints_2d.base.nbytes < 100


def test_programs_have_the_size_of_human36m():
    program, steps = training_program(SMALL, devices_of(jax.devices()[:4]))
    state, table, order, until = program.arguments
    assert len(table.keypoints_2d.shape) == 3 and len(table.keypoints_2d) == TRAIN_VIEWS
    assert order.shape == (2 * TRAIN_VIEWS,) and until.shape == ()
    assert steps == 2 * TRAIN_VIEWS // 64 == 48742
    assert set(state.params) == {"network", "refinement"}
    program, cut = evaluation_program(SMALL, devices_of(jax.devices()[:4]))
    assert len(program.arguments[1].keypoints_2d) == TEST_VIEWS
    # 1,062 batches of up to 4 * 128 views take 266 calls of 4.
    assert (cut.batches, cut.batches_per_call, cut.batch) == (1064, 4, 511)


def test_count_for_gpus_equals_the_trace_for_as_many_devices():
    plan = count_for(parse_topology("gpu:h200:8"), with_batch(8 * 64), evaluation=True)
    program, steps = training_program(with_batch(8 * 64), devices_of(jax.devices()[:8]))
    assert plan.training.traced == trace_cost(program.trace().jaxpr)
    assert plan.training.steps_per_epoch == steps
    assert plan.evaluation is not None
    # 133 batches of up to 8 * 512 views take 3 calls of 45.
    assert (plan.evaluation.batch, plan.evaluation.batches) == (4025, 135)
    assert not plan.compiled


def test_seeds_side_by_side_count_as_the_runs_alone():
    """Eight seeds on four chips: two whole batches on each, and nothing to sum up in a step."""
    topology = parse_topology("gpu:h200:4")
    seeds = TrainConfig(batch_size=64, refine=True, seeds=8)
    plan = count_for(topology, SMALL.model_copy(update={"train": seeds}), evaluation=True)
    alone = count_for(parse_topology("gpu:h200:1"), SMALL, evaluation=True)
    assert plan.training.traced.flops == 2 * alone.training.traced.flops
    assert plan.training.traced.all_reduces == 0
    # Random bits of a step, but for those of a few keys.
    bits = plan.training.traced.random_bits / alone.training.traced.random_bits
    assert bits == pytest.approx(2, rel=0.01)
    assert plan.training.steps_per_epoch == alone.training.steps_per_epoch
    assert (plan.batch, plan.batch_per_chip, plan.seeds) == (64, 128, 8)
    assert plan.samples_per_second == pytest.approx(8 * 64 / plan.step.predicted)
    assert plan.evaluation is not None and alone.evaluation is not None
    per_view = 8 * alone.evaluation.traced.flops / alone.evaluation.batch
    rows = -(-plan.evaluation.batch // 4)
    assert plan.evaluation.traced.flops == pytest.approx(rows * per_view, rel=0.01)
    assert "4 chips, 8 seeds side by side, each with batch 64 (128 per chip)" in plan_lines(plan)[0]
    assert "| 8 x 64 | 128 |" in table([plan])
    three = parse_topology("gpu:h200:3")
    with pytest.raises(ConfigError, match=r"train\.seeds 8 does not divide among the 3 chips of"):
        with_batch_of(plan.config, 64, three)
