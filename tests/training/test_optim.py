import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rsnet_jax.config import OptimConfig, find_preset, load_preset
from rsnet_jax.training.optim import clip_by_torch_norm, learning_rates, make_optimizer

RATE = 0.01


@pytest.fixture
def gradients(rng):
    """A hundred steps, the first one huge: what AMSGrad must remember, and optax's forgets not."""
    grads = rng.normal(size=(100, 7, 3))
    grads[0] *= 1e4
    return grads.astype(np.float32)


def follow(tx, gradients):
    params = jnp.zeros(gradients.shape[1:])
    state = tx.init(params)

    @jax.jit
    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    for grads in gradients:
        params, state = step(params, state, grads)
    return np.asarray(params)


def by_definition(gradients):
    """torch's documented recurrences in float64."""
    params = mean = square = largest = np.zeros(gradients.shape[1:])
    for t, grads in enumerate(gradients.astype(np.float64), start=1):
        mean = 0.9 * mean + 0.1 * grads
        square = 0.999 * square + 0.001 * grads**2
        largest = np.maximum(largest, square)
        denominator = np.sqrt(largest) / np.sqrt(1 - 0.999**t) + 1e-8
        params = params - RATE / (1 - 0.9**t) * mean / denominator
    return params


def relative_distance(got, want):
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def test_amsgrad_is_its_definition(gradients):
    got = follow(make_optimizer(lambda step: RATE), gradients)
    assert relative_distance(got, by_definition(gradients)) < 1e-6


def test_amsgrad_is_torchs(gradients):
    torch = pytest.importorskip("torch")
    params = torch.zeros(gradients.shape[1:], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([params], lr=RATE, amsgrad=True)
    for grads in gradients:
        params.grad = torch.from_numpy(grads.astype(np.float64))
        optimizer.step()
    got = follow(make_optimizer(lambda step: RATE), gradients)
    assert relative_distance(got, params.detach().numpy()) < 1e-6


def test_amsgrad_is_not_optaxs(gradients):
    got = follow(make_optimizer(lambda step: RATE), gradients)
    assert relative_distance(follow(optax.amsgrad(RATE), gradients), got) > 0.1


def test_adam_is_its_definition(gradients):
    """Against the recurrences in float64; optax takes the bias corrections in float32."""
    params = mean = square = np.zeros(gradients.shape[1:])
    for t, grads in enumerate(gradients.astype(np.float64), start=1):
        mean = 0.9 * mean + 0.1 * grads
        square = 0.999 * square + 0.001 * grads**2
        denominator = np.sqrt(square / (1 - 0.999**t)) + 1e-8
        params = params - RATE * mean / (1 - 0.9**t) / denominator
    got = follow(make_optimizer(lambda step: RATE, OptimConfig(name="adam")), gradients)
    assert relative_distance(got, params) < 1e-4


@pytest.mark.parametrize(("norm", "share"), [(0.5, 1.0), (4.0, 1 / (4 + 1e-6)), (1e-8, 1.0)])
def test_gradients_are_clipped_by_their_global_norm(norm, share):
    grads = {
        "a": np.full((2,), 0.6 * norm / np.sqrt(2)),
        "b": np.full((3,), 0.8 * norm / np.sqrt(3)),
    }
    grads = jax.tree.map(jnp.float32, grads)
    clipped, _ = clip_by_torch_norm(1.0).update(grads, optax.EmptyState())
    for name, grad in grads.items():
        np.testing.assert_allclose(clipped[name], share * grad, rtol=1e-6)


def test_clipping_comes_before_adam():
    """Adam itself forgets the scale of all gradients, but not of one among many."""
    gradients = np.ones((10, 1, 1), np.float32)
    gradients[4:] = 100
    got = follow(make_optimizer(lambda step: RATE, OptimConfig(clip_norm=1)), gradients)
    want = follow(make_optimizer(lambda step: RATE), np.ones((10, 1, 1), np.float32))
    assert relative_distance(got, want) < 1e-5


def test_rate_by_steps_falls_at_multiples_only():
    """Steps count from 1; those before the first multiple keep the rate of step 1."""
    config = OptimConfig(learning_rate=2.0, schedule="steps", decay=0.5, decay_steps=4)
    schedule = learning_rates(config, epochs=1, steps_per_epoch=3, batch_size=64)
    got = [float(schedule(step - 1)) for step in range(1, 13)]
    want = [2 * 0.5**0.25] * 3 + [1.0] * 4 + [0.5] * 4 + [0.25]
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_rate_by_steps_of_the_published_recipe():
    optim = load_preset(find_preset("semgcn_gt")).optim
    schedule = learning_rates(optim, epochs=50, steps_per_epoch=24_371, batch_size=64)
    steps = np.array([0, 99_998, 99_999, 199_998, 199_999, 1_199_999])
    want = 1e-3 * 0.96 ** np.array([1e-5, 1e-5, 1, 1, 2, 12])
    np.testing.assert_allclose([schedule(jnp.int32(step)) for step in steps], want, rtol=2e-6)


@pytest.mark.parametrize("recipe", ["hr", "gt"])
def test_learning_rates_are_the_published_ones(golden, recipe):
    config = load_preset(find_preset(f"h36m_{recipe}"))
    assert config.train.epochs == 30
    schedule = learning_rates(config.optim, epochs=30, steps_per_epoch=7, batch_size=37)
    want = np.load(golden / "rsnet/schedules.npz")[recipe]
    for first_or_last in (0, 6):  # constant within an epoch
        got = [schedule(epoch * 7 + first_or_last) for epoch in range(30)]
        np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("decay_every", [1, 3])
@pytest.mark.parametrize("large_decay_every", [0, 5, 6])
def test_rates_are_optaxs_to_the_bit(decay_every, large_decay_every):
    """Over 700 epochs, the last hundred of which are too small for float32 to hold all bits."""
    epochs, per_epoch = 700, 3
    config = OptimConfig(decay_every=decay_every, large_decay_every=large_decay_every)
    factors = {
        per_epoch * epoch: 0.5 if large_decay_every and epoch % large_decay_every == 0 else 0.95
        for epoch in range(1, epochs)
        if epoch % decay_every == 0 or (large_decay_every and epoch % large_decay_every == 0)
    }
    steps = np.arange(per_epoch * epochs + 2)
    want = optax.piecewise_constant_schedule(1e-3, factors)(steps)
    schedule = learning_rates(config, epochs=epochs, steps_per_epoch=per_epoch, batch_size=37)
    np.testing.assert_array_equal(schedule(steps), want)
    np.testing.assert_array_equal(jax.jit(jax.vmap(schedule))(steps), want)
    assert want[-1] == want[-3] < want[0]


def test_schedule_is_no_larger_for_many_epochs():
    def operations(epochs):
        config = OptimConfig(warmup_epochs=1)
        schedule = learning_rates(config, epochs=epochs, steps_per_epoch=9, batch_size=37)
        return str(jax.make_jaxpr(schedule)(jnp.int32(0))).count("=")

    assert operations(2) == operations(100_000)


def test_large_decay_can_be_off():
    config = OptimConfig(learning_rate=1.0, decay=0.5, decay_every=2, large_decay_every=0)
    schedule = learning_rates(config, epochs=6, steps_per_epoch=1, batch_size=37)
    assert [float(schedule(epoch)) for epoch in range(6)] == [1, 1, 0.5, 0.5, 0.25, 0.25]


@pytest.mark.parametrize(
    ("base", "batch", "want"),
    [(None, 8192, 0.001), (128, 128, 0.001), (128, 8192, 0.064), (128, 32, 0.00025)],
)
def test_rate_of_another_batch_size(base, batch, want):
    config = OptimConfig(learning_rate=0.001, decay=0.5, base_batch_size=base)
    schedule = learning_rates(config, epochs=2, steps_per_epoch=3, batch_size=batch)
    got = [float(schedule(step)) for step in range(6)]
    np.testing.assert_allclose(got, [want] * 3 + [want / 2] * 3, rtol=1e-6)


@pytest.mark.parametrize(
    ("warmup", "want"),
    [
        (0, [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]),
        (0.5, [1 / 2, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]),
        (1.5, [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 12, 6 / 12, 0.5, 0.5, 0.25]),
        (3, [1 / 12, 2 / 12, 3 / 12, 4 / 12, 5 / 24, 6 / 24, 7 / 24, 8 / 24, 9 / 48]),
    ],
)
def test_warmup_is_a_growing_share_of_the_decaying_rate(warmup, want):
    config = OptimConfig(learning_rate=1.0, decay=0.5, warmup_epochs=warmup)
    schedule = learning_rates(config, epochs=3, steps_per_epoch=4, batch_size=37)
    np.testing.assert_allclose([float(schedule(step)) for step in range(9)], want, rtol=1e-6)


def test_optimizer_follows_scaling_and_warmup():
    """Adam's step under a gradient that never changes is the rate itself."""
    config = OptimConfig(learning_rate=0.01, base_batch_size=10, warmup_epochs=1)
    schedule = learning_rates(config, epochs=1, steps_per_epoch=5, batch_size=20)
    got = follow(make_optimizer(schedule), np.full((3, 2), 7.0, np.float32))
    np.testing.assert_allclose(got, -0.02 * (1 + 2 + 3) / 5, rtol=1e-6)


def test_cosine_falls_from_the_rate_to_zero():
    config = OptimConfig(schedule="cosine", learning_rate=0.2)
    schedule = learning_rates(config, epochs=3, steps_per_epoch=4, batch_size=37)
    # 0.2 (1 + cos(pi s / 12)) / 2 at steps 0, 4, 6 and 12: cos is 1, 1/2, 0 and -1.
    np.testing.assert_allclose([schedule(s) for s in (0, 4, 6, 12)], [0.2, 0.15, 0.1, 0], atol=1e-7)
