"""The number of axes of the arrays in the networks."""

import jax
import jax.numpy as jnp
import pytest
from exported_networks import KINDS

from rsnet_jax.config import Config
from rsnet_jax.models.build import build_model, init_variables
from rsnet_jax.pose.skeleton import H36M_16

MOST_AXES = 6
"""Arrays of more axes go through slower, general code of the compilers."""


def axes_of(jaxpr):
    """The number of axes of every array in a traced function, and in functions inside of it."""
    for equation in jaxpr.eqns:
        yield from (getattr(variable.aval, "ndim", 0) for variable in equation.outvars)
        for value in equation.params.values():
            inner = value if isinstance(value, tuple | list) else [value]
            for part in inner:
                part = getattr(part, "jaxpr", part)
                if hasattr(part, "eqns"):
                    yield from axes_of(part)


@pytest.mark.parametrize("model", KINDS.values(), ids=KINDS)
def test_no_network_makes_arrays_of_many_axes(model):
    config = Config(model=model)
    network = build_model(config, H36M_16, H36M_16, axis_name=None)
    variables = jax.eval_shape(lambda: init_variables(config, H36M_16))
    keypoints = jax.ShapeDtypeStruct((4, 16, network.input_channels), jnp.float32)

    def loss(params, rest, keypoints):
        poses, _ = network.apply(
            {"params": params, **rest},
            keypoints,
            train=True,
            rngs={"dropout": jax.random.key(0)},
            mutable=[*rest],
        )
        return jnp.square(poses).sum()

    rest = {name: tree for name, tree in variables.items() if name != "params"}
    traced = jax.make_jaxpr(jax.grad(loss))(variables["params"], rest, keypoints)
    found = list(axes_of(traced.jaxpr))
    assert len(found) > 100 and max(found) <= MOST_AXES


def test_arrays_inside_of_functions_are_counted():
    @jax.jit
    def inside(x):
        return x.reshape((1,) * 7 + x.shape).sum()

    traced = jax.make_jaxpr(lambda x: jax.lax.scan(lambda c, _: (inside(c), None), x, length=2)[0])
    assert max(axes_of(traced(jnp.float32(1)).jaxpr)) == 7
