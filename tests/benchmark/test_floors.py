import pytest

from rsnet_jax.benchmark.floors import forward_flops, parameters, prediction_bytes, training_bytes
from rsnet_jax.config import RSNetConfig


@pytest.mark.parametrize(("width", "published"), [(96, 3_924_847), (64, 1_768_079)])
def test_parameters_by_formula_are_the_published_numbers(width, published):
    assert parameters(RSNetConfig(width=width)) == published


def test_forward_flops_of_a_small_network_by_hand():
    model = RSNetConfig(width=3, hops=2, blocks=1)
    # Multiplications of 5 joints, 6 channels; layers: in, two hidden, out.
    self_and_neighbors = 5 * (2 * 12 + 6 * 12 + 6 * 12 + 6 * 12)
    residual = 5 * (2 * 6 + 6 * 6 + 6 * 6 + 6 * 6)
    mixing = 4 * 2 * 25 * 3
    non_local = 5 * 6 * 9 + 5 * 3 * 6 + 2 * 25 * 3
    assert forward_flops(model, joints=5) == 2 * (
        self_and_neighbors + residual + mixing + non_local
    )


def test_bytes_of_a_small_network_by_hand():
    model = RSNetConfig(width=3, hops=2, blocks=1)
    weights = parameters(model, joints=5)
    assert prediction_bytes(model, 7, joints=5) == 4 * (7 * 5 * 5 + weights)
    assert training_bytes(model, 7, joints=5) == 4 * (8 * weights + 2 * 7 * 4 * 5 * 6)
