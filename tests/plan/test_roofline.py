import dataclasses

import pytest

from rsnet_jax.errors import ConfigError
from rsnet_jax.plan.chips import CHIPS, parse_topology
from rsnet_jax.plan.roofline import StepWork, Times, all_reduce, recipe_seconds, seconds_of, times


@pytest.mark.parametrize(
    ("name", "chips", "share", "rate", "latency"),
    [
        # both axes open: a link each; a hop along each, there and back
        ("v5e:2x2", 4, 1.5, 2 * 45e9, 2 * (1 + 1) * 1e-6),
        ("v5e:4x8", 32, 2 * 31 / 32, 2 * 45e9, 2 * (3 + 7) * 1e-6),
        # both axes closed: two links each; half way around each, there and back
        ("v5e:16x16", 256, 2 * 255 / 256, 4 * 45e9, 2 * (8 + 8) * 1e-6),
        ("v5e:2x16", 32, 2 * 31 / 32, 3 * 45e9, 2 * (1 + 8) * 1e-6),
        ("v5p:4x4x4", 64, 2 * 63 / 64, 6 * 90e9, 2 * (2 + 2 + 2) * 1e-6),
        ("v5p:4x4x8", 128, 2 * 127 / 128, 6 * 90e9, 2 * (2 + 2 + 4) * 1e-6),
        # not of whole cubes: no axis is closed
        ("v5p:2x2x4", 16, 1.875, 3 * 90e9, 2 * (1 + 1 + 3) * 1e-6),
        ("v5p:2x2x1", 4, 1.5, 2 * 90e9, 2 * (1 + 1) * 1e-6),
        ("gpu:h200:8", 8, 1.75, 450e9, 20e-6),
        # only what a machine has summed up crosses the network, 1/8 of it by each card
        ("gpu:h200:32", 32, 2 * 31 / 32, 8 * 50e9, 20e-6 * 3),
        ("gpu:h200:10", 10, 1.8, 5 * 50e9, 20e-6 * 2),
    ],
)
def test_all_reduce_time_of_a_topology(name, chips, share, rate, latency):
    topology = parse_topology(name)
    assert topology.chips == chips
    assert all_reduce(topology) == pytest.approx((share / rate, latency), rel=1e-12)


def test_all_reduce_of_one_chip_takes_no_time():
    assert all_reduce(parse_topology("gpu:h100:1")) == (0, 0)


def test_clocks_of_tpus_are_the_published_ones():
    gigahertz = {name: (chip.clock or 0) / 1e9 for name, chip in CHIPS.items()}
    assert gigahertz["v5e"] == pytest.approx(1.5, rel=0.01)  # the scaling book
    assert gigahertz["v5p"] == pytest.approx(1.75, rel=0.01)
    assert gigahertz["v6e"] == pytest.approx(1.75, rel=0.01)
    assert seconds_of(1.5e9, CHIPS["v5e"]) == pytest.approx(1, rel=0.01)


def test_every_chip_names_the_sources_of_its_rates():
    for chip in CHIPS.values():
        assert all(source.startswith("https://") for source in chip.sources) and chip.sources
        assert set(chip.peak) == {"highest", "default", "bfloat16"}
        assert chip.peak["highest"] <= chip.peak["default"] <= chip.peak["bfloat16"]


def test_times_of_a_step_by_hand():
    work = StepWork(flops=197e9, hbm_bytes=819e6, all_reduces=5, reduced_bytes=9e6)
    step = times(work, parse_topology("v5e:2x2"), "default")
    assert (step.products, step.memory) == pytest.approx((1e-3, 1e-3))
    assert step.bandwidth == pytest.approx(1.5 * 9e6 / 90e9)  # 150 us
    assert step.latency == pytest.approx(20e-6)
    assert step.roofline == step.predicted == pytest.approx(1.17e-3)
    assert step.estimate is None
    slower = dataclasses.replace(work, cycles={"product": 3e6, "copy": 1.5e6})
    estimate = times(slower, parse_topology("v5e:2x2"), "default").estimate
    assert estimate == pytest.approx(4.5e6 / 1.503e9, rel=1e-4)
    highest = times(work, parse_topology("v5e:2x2"), "highest")
    assert highest.products == pytest.approx(6e-3)  # six products of bfloat16


@pytest.mark.parametrize(
    ("kinds", "predicted", "limit"),
    [
        ({}, 3.5, "products"),
        ({"product": 0.7, "copy": 0.3}, 3.5, "communication (bytes)"),  # less than can be
        ({"product": 3.0, "copy": 1.0}, 5.5, "product"),
        ({"product": 3.0, "copy": 6.0}, 10.5, "copy"),
    ],
)
def test_predicted_time_is_never_below_the_roofline(kinds, predicted, limit):
    step = Times(products=2.0, memory=1.0, bandwidth=1.0, latency=0.5, kinds=kinds)
    assert step.roofline == 3.5
    assert (step.predicted, step.limit) == (predicted, limit)


@pytest.mark.parametrize(
    ("bandwidth", "latency", "limit"),
    [(5.0, 0.5, "communication (bytes)"), (0.5, 5.0, "communication (latency)")],
)
def test_limit_of_a_step_may_be_communication(bandwidth, latency, limit):
    work = {"product": 2.0, "copy": 1.0}
    parts = Times(products=2.0, memory=1.0, bandwidth=bandwidth, latency=latency, kinds=work)
    assert parts.limit == limit


def test_recipe_seconds_by_hand():
    seconds = recipe_seconds(epochs=3, steps=100, step_seconds=0.01, batches=10, batch_seconds=0.02)
    assert seconds == pytest.approx(3 * (1 + 0.2))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("v5e", ["v5e:4x4", "v5p:4x4x4", "gpu:h200:8", "'v5e'"]),
        ("v9:2x2", ["'v9:2x2'"]),
        ("gpu:v5e:4", ["'gpu:v5e:4'"]),
        ("h200:8", ["'h200:8'"]),
        ("gpu:h200:0", ["'gpu:h200:0'"]),
        ("v5e:3x4", ["2 axes", "v5e:2x2", "v5e:16x16"]),
        ("v5e:2x18", ["v5e:16x16"]),
        ("v5e:0x2", ["v5e:2x2"]),
        ("v5e:4x4x4", ["2 axes"]),
        ("v5p:4x4", ["3 axes", "v5p:2x2x1", "v5p:16x16x24"]),
    ],
)
def test_parse_topology_refuses_unknown_names(name, words):
    with pytest.raises(ConfigError) as caught:
        parse_topology(name)
    assert all(word in str(caught.value) for word in words), caught.value
