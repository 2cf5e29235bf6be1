"""High-order GCN against the golden files of the official modules."""

import math

import numpy as np
import pytest
from peer_networks import (
    check_conversion,
    check_fresh,
    check_outputs,
    check_training,
    load_case,
    residual_activations,
)

from rsnet_jax.config import Config, HGCNConfig
from rsnet_jax.models.graphs import walks
from rsnet_jax.pose.skeleton import H36M_16, H36M_17, Skeleton

CASES = ["hgcn_gt16", pytest.param("hgcn_cpn17", marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=CASES)
def case(request, golden):
    return load_case(golden / "peers" / request.param)


def test_outputs_and_activations_match_the_official_modules(case):
    check_outputs(case, residual_activations(case))


def test_training_step_matches_the_official_modules(case):
    check_training(case)


def test_conversion_accounts_for_every_tensor(case):
    check_conversion(case)
    joints, about = case.about["joints"], case.about
    assert case.checkpoint.config == Config(
        model=HGCNConfig(width=about["hid_dim"], blocks=about["num_layers"])
    )
    assert case.checkpoint.skeleton == {16: H36M_16, 17: H36M_17}[joints]
    np.testing.assert_array_equal(walks(case.checkpoint.skeleton, 2)[1], case.data["adj"] > 0)


@pytest.mark.slow
def test_fresh_tensors_are_drawn_as_torch_draws_them(golden):
    def bound(name, shape):
        if name.endswith("W"):
            hops, chan, out = shape
            return 1.414 * math.sqrt(6 / ((hops + chan) * out))
        out = shape[0] // 4 if name.endswith("bias") else shape[0]
        return 1 / math.sqrt(out)

    path = golden / "peers/init_stats/hgcn_16.json"
    check_fresh(path, Config(model=HGCNConfig()), H36M_16, bounds=bound)


def test_walks_by_hand():
    """On a path a - b - c - d, three steps lead from a to b (there and back) and to d."""
    path = Skeleton("path", tuple("abcd"), (-1, 0, 1, 2), (), ())
    none, one, two, three = (graph.astype(int).tolist() for graph in walks(path, 4))
    assert none == np.eye(4).tolist()
    assert one == [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]
    assert two == [[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]]
    assert three == [[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]]
    counts = {skeleton.num_joints: [graph.sum() for graph in walks(skeleton, 4)]
              for skeleton in (H36M_16, H36M_17)}  # fmt: skip
    assert counts == {16: [16, 30, 52, 68], 17: [17, 32, 55, 76]}
