import numpy as np
import pytest
from comparisons import RSNET, SEMGCN, tiny

from rsnet_jax.benchmark import floors, network_cost
from rsnet_jax.benchmark.network_cost import Pipeline
from rsnet_jax.config import DataConfig
from rsnet_jax.data.load import load_frames
from rsnet_jax.models.flip_test import lift


@pytest.fixture(scope="module")
def views():
    return load_frames(DataConfig(actions=("Run",), every=24), "test")


def pipeline(views, checkpoint, *, refined=False, rows=32):
    return Pipeline(checkpoint, refined, "highest", network_cost.batch_of(views, rows))


def test_costs_are_those_of_the_formulas(views):
    lifted = pipeline(views, tiny())
    assert lifted.parameters == floors.parameters(RSNET)
    # The formula multiplies by the diagonal alone; the program by the graph with its diagonal: for
    # the first, two hidden and the last layer, of 2 hops and 4, 4, 4 and 3 channels per hop.
    more = 2 * 2 * 16 * 16 * (4 + 4 + 4 + 3)
    assert lifted.operations == floors.forward_flops(RSNET) + more
    refined = pipeline(views, tiny(refine=True), refined=True)
    # Of the refinement: 96 coordinates to 8 hidden units, and those to 16 * 2 weights.
    assert refined.operations - lifted.operations == 2 * (96 * 8 + 8 * 32)
    assert refined.parameters - lifted.parameters == 96 * 8 + 8 + 8 * 32 + 32


def test_batches_repeat_few_views(views):
    batch = network_cost.batch_of(views, len(views) + 3)
    assert len(batch.keypoints_2d) == len(batch.cameras) == len(views) + 3
    np.testing.assert_array_equal(batch.keypoints_2d[-3:], batch.keypoints_2d[:3])


def test_networks_take_turns_at_real_work(views, monkeypatch):
    networks = {"a": tiny(), "b": tiny(SEMGCN)}
    pipelines = {name: pipeline(views, one) for name, one in networks.items()}
    speeds = network_cost.poses_per_second(pipelines, seconds=0)
    assert list(speeds) == ["a", "b"]
    for speed in speeds.values():
        assert 0 < speed.low <= speed.median <= speed.high
    one = pipelines["a"]
    poses = one._program()(one._weights, one.batch)
    wanted = lift(one.checkpoint.model, one.checkpoint.variables, one.batch.keypoints_2d,
                  flip_test=False)  # fmt: skip
    np.testing.assert_allclose(poses, wanted - wanted[:, :1], atol=1e-5)
