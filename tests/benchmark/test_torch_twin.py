"""The PyTorch twin equals the network of this package in outputs, gradients and training steps."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rsnet_jax.checkpoints import key_tables
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.published import to_published
from rsnet_jax.config import Config, RSNetConfig
from rsnet_jax.data.batches import Batch
from rsnet_jax.models.build import (
    build_model,
    build_refinement,
    init_refinement_variables,
    init_variables,
)
from rsnet_jax.pose.skeleton import H36M_16
from rsnet_jax.training.optim import scale_by_torch_amsgrad
from rsnet_jax.training.step import TrainState, fresh_sums, make_train_step

torch = pytest.importorskip("torch")
torch_twin = pytest.importorskip("rsnet_jax.benchmark.torch_twin")

CONFIG = Config(model=RSNetConfig(width=7, hops=3, blocks=2, dropout=0, refine_dropout=0))
SIZES = {"width": 7, "hops": 3, "blocks": 2, "dropout": 0}
BATCH = 6


@pytest.fixture(scope="module")
def checkpoint():
    """Fresh weights, with noise on all of them so that none is zero or one."""
    rng = np.random.default_rng(0)
    network, refinement = init_variables(CONFIG), init_refinement_variables(CONFIG)
    params = jax.tree.map(
        lambda p: p + rng.normal(0, 0.1, p.shape).astype(np.float32),
        {"network": network["params"], "refinement": refinement["params"]},
    )
    mean, var = rng.normal(0, 0.1, 21), rng.uniform(0.5, 2, 21)
    norm = {"mean": jnp.float32(mean), "var": jnp.float32(var), "count": jnp.int32(7)}
    stats = {"non_local": {"norm": norm}}
    variables = {"params": params["network"], "batch_stats": stats}
    return Checkpoint(variables, {"params": params["refinement"]}, CONFIG)


@pytest.fixture(scope="module")
def twins(checkpoint):
    network, refinement = torch_twin.RSNet(**SIZES), torch_twin.PostRefine(dropout=0)
    torch_twin.load_weights(network, checkpoint)
    torch_twin.load_weights(refinement, checkpoint)
    return network, refinement


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(1)
    joints = rng.normal(size=(BATCH, 16, 3))
    joints[:, 0] = [0.1, 0.2, 4]
    cameras = np.tile([1.1, 1.2, 0.1, 0.2, 0, 0, 0, 0, 0], (BATCH, 1))
    keypoints = rng.normal(size=(BATCH, 16, 2))
    return Batch(*(x.astype(np.float32) for x in (keypoints, joints, cameras)))


def test_twin_output(checkpoint, twins, batch):
    want = jax.jit(checkpoint.model.apply)(checkpoint.variables, batch.keypoints_2d)
    with torch.inference_mode():
        got = twins[0].eval()(torch.tensor(batch.keypoints_2d)).numpy()
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_twin_gradients_of_a_training_step(checkpoint, twins, batch):
    """Plain gradients of the whole loss, read off a step of SGD."""
    params = {
        "network": checkpoint.variables["params"],
        "refinement": checkpoint.refine_variables["params"],
    }
    tx = optax.sgd(1.0)
    stats = checkpoint.variables["batch_stats"]
    state = TrainState(jnp.int32(0), params, stats, tx.init(params), fresh_sums())
    step = jax.jit(make_train_step(build_model(CONFIG), build_refinement(CONFIG), tx))
    after = step(state, batch, jax.random.key(0))
    grads = jax.tree.map(lambda old, new: old - new, params, after.params)
    trained = [e for e in key_tables.rsnet_table(CONFIG.model, 16) if e.path[0] == "params"]
    want = key_tables.to_published({"params": grads["network"]}, trained)
    want |= key_tables.to_published(
        {"params": grads["refinement"]}, key_tables.refine_table(CONFIG.model, 16)
    )

    network, refinement = (module.train() for module in twins)
    loss = torch_twin.training_loss(network, *map(torch.tensor, batch), refinement=refinement)
    loss.backward()
    np.testing.assert_allclose(loss.item(), after.sums["loss"], rtol=1e-5)
    for name, parameter in [*network.named_parameters(), *refinement.named_parameters()]:
        gradient = 0 if parameter.grad is None else parameter.grad.numpy()
        tolerance = 1e-5 * max(np.abs(want[name]).max(), 1)
        np.testing.assert_allclose(gradient, want[name], rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.slow
def test_twin_training_steps_of_the_published_recipe(checkpoint, batch):
    """Adam with AMSGrad on weights whose memory is not in the order of their axes."""
    network = torch_twin.RSNet(**SIZES)
    torch_twin.load_weights(network, checkpoint)
    step = torch_twin.make_train_step(network, learning_rate=1e-3)
    losses = [step(*map(torch.tensor, batch)).item() for _ in range(3)]

    params = {"network": checkpoint.variables["params"]}
    tx = optax.chain(scale_by_torch_amsgrad(), optax.scale(-1e-3))
    stats = checkpoint.variables["batch_stats"]
    state = TrainState(jnp.int32(0), params, stats, tx.init(params), fresh_sums())
    ours, want = jax.jit(make_train_step(build_model(CONFIG), None, tx)), []
    for _ in losses:
        state = ours(state._replace(sums=fresh_sums()), batch, jax.random.key(0))
        want.append(state.sums["loss"])
    np.testing.assert_allclose(losses, want, rtol=1e-4)


def test_twin_has_the_published_keys_and_dropout_rates(checkpoint):
    published, _ = to_published(checkpoint)
    network = torch_twin.RSNet(**SIZES | {"dropout": 0.3}).train()
    assert set(network.state_dict()) == set(published)
    rates = {m.p for m in network.modules() if isinstance(m, torch.nn.Dropout)}
    assert rates == {0.3}
    assert H36M_16.parents == torch_twin.PARENTS
