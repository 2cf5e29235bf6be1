import jax.numpy as jnp
import numpy as np
import pytest

from rsnet_jax.models.graph_conv import adjacency_powers, aggregate, modulate, split_diagonal
from rsnet_jax.pose.skeleton import H36M_16, Skeleton

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
    powers, modulation = np.float32(rng.normal(size=(2, 4, 5, 5)))
    graph = modulate(jnp.asarray(powers), jnp.asarray(modulation))
    np.testing.assert_array_equal(graph, np.swapaxes(graph, 1, 2))
    want = (powers + modulation + (powers + modulation).transpose(0, 2, 1)) / 2
    np.testing.assert_allclose(graph, want, rtol=1e-6)
    diagonal, rest = np.moveaxis(np.asarray(split_diagonal(graph)), 2, 0)
    assert not np.diagonal(rest, axis1=1, axis2=2).any()
    np.testing.assert_array_equal(diagonal, diagonal * np.eye(5))
    np.testing.assert_array_equal(rest + diagonal, graph)


@pytest.mark.parametrize("batch", [1, 2, 4, 5, 9])
def test_aggregate_follows_the_formula_for_few_and_many_poses(rng, batch):
    """The weight modulation goes to the messages of fewer than 5 poses, to the graphs of more."""
    own, neighbors = rng.normal(size=(2, 3, 7, 5, batch)).astype(np.float32)
    graph, modulation = rng.normal(size=(3, 5, 5)), rng.normal(size=(3, 5, 7))
    split = split_diagonal(jnp.float32(graph))
    messages = jnp.stack([own, neighbors], axis=2)
    got = aggregate(split, jnp.float32(modulation), messages)
    identity = np.eye(5)
    for hop, channel, pose in np.ndindex(3, 7, batch):
        scale = modulation[hop, :, channel]
        want = (graph[hop] * identity) @ (scale * own[hop, channel, :, pose])
        want += (graph[hop] * (1 - identity)) @ (scale * neighbors[hop, channel, :, pose])
        np.testing.assert_allclose(got[hop, channel, :, pose], want, rtol=0, atol=2e-5)
    einsum = jnp.einsum("hipj,hjf,hfpjb->hfib", split, jnp.float32(modulation), messages)
    np.testing.assert_allclose(got, einsum, rtol=0, atol=2e-5)  # as its docstring says
