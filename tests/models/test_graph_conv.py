import numpy as np
import pytest

from rsnet_jax.models.graph_conv import adjacency_powers, modulate, split_diagonal
from rsnet_jax.skeleton import H36M_16, Skeleton

CHAIN = Skeleton("chain", ("a", "b", "c"), (-1, 0, 1), left=(), right=())


def test_powers_of_a_chain_by_hand():
    # Degrees 1, 2, 1: the normalized bones are 1/sqrt(2), and two steps return 1/2 at the ends.
    r = np.sqrt(0.5)
    want = [
        np.eye(3),
        [[0, r, 0], [r, 0, r], [0, r, 0]],
        [[0.5, 0, 0.5], [0, 1, 0], [0.5, 0, 0.5]],
        [[0, r, 0], [r, 0, r], [0, r, 0]],
    ]
    np.testing.assert_allclose(adjacency_powers(CHAIN, 4), want, atol=1e-6)


@pytest.mark.parametrize("hops", [1, 4, 5])
def test_powers_are_walks_on_the_released_graph(golden, hops):
    adjacency = np.load(golden / "rsnet/graph.npz")["adjacency"].astype(np.float64)
    want = np.eye(16)
    for power in adjacency_powers(H36M_16, hops):
        np.testing.assert_allclose(power, want, rtol=0, atol=1e-6)
        want = want @ adjacency
    assert len(adjacency_powers(H36M_16, hops)) == hops


def test_modulation_is_symmetric_and_splits_without_loss(rng):
    powers, offset = rng.normal(size=(2, 4, 5, 5)).astype(np.float32)
    graph = modulate(powers, offset)
    np.testing.assert_array_equal(graph, np.swapaxes(graph, 1, 2))
    want = (powers + offset + (powers + offset).transpose(0, 2, 1)) / 2
    np.testing.assert_allclose(graph, want, rtol=1e-6)
    keep, mix = split_diagonal(graph)
    assert not np.diagonal(mix, axis1=1, axis2=2).any()
    np.testing.assert_array_equal(mix + keep[:, :, None] * np.eye(5)[None], graph)
