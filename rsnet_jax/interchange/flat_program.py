"""A JAX function as a flat list of operations, those on constants carried out.

`trace` makes the jaxpr of a function for a symbolic batch, puts inner functions (jit, custom
gradients, rematerialization) in their places, and computes all that does not depend on the input:
graphs, their softmax, the slope of a batch normalization. What is left is what a portable format
has to say.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.export import symbolic_shape
from jax.extend import core

BATCH = "batch"
"""The name of the symbolic number of rows."""

Size = Any
"""The length of an axis: an int, or a multiple of the symbolic batch."""


@dataclasses.dataclass(frozen=True)
class Place:
    """A value of the program, by number; `known` values do not depend on the input."""

    number: int
    shape: tuple[Size, ...]
    dtype: np.dtype
    known: bool
    label: str
    """Of a known value: the weight that it is or was made of; may be empty."""


@dataclasses.dataclass(frozen=True)
class Operation:
    """An operation of the program, in JAX's words."""

    primitive: core.Primitive
    parameters: dict[str, Any]
    inputs: tuple[Place, ...]
    outputs: tuple[Place, ...]
    scope: str
    """The module that it is of, such as "RSNet/norm_0/conv"."""


@dataclasses.dataclass(frozen=True)
class FlatProgram:
    """Operations in order; every input is the program's, an earlier output or in `constants`."""

    input: Place
    outputs: tuple[Place, ...]
    operations: tuple[Operation, ...]
    constants: dict[int, np.ndarray]
    """Values by the number of their place."""
    batch: Size


def trace(
    function: Callable[[Any, Any], Any], variables: Any, *, row_shape: tuple[int, ...]
) -> FlatProgram:
    """Makes the flat program of `function(variables, x)`, x (batch, *row_shape) float32."""
    (batch,) = symbolic_shape(BATCH)
    argument = jax.ShapeDtypeStruct((batch, *row_shape), np.float32)
    flat, tree = jax.tree_util.tree_flatten_with_path(variables)
    labels = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in flat]
    leaves = [np.asarray(leaf) for _, leaf in flat]

    def on_leaves(leaves: list[Any], x: Any) -> Any:
        return [out for out in function(tree.unflatten(leaves), x) if out is not None]

    closed = jax.make_jaxpr(on_leaves)(leaves, argument)
    flattener = _Flattener()
    places = [
        flattener.constant(leaf, label.removeprefix("params/"))
        for leaf, label in zip(leaves, labels, strict=True)
    ]
    source = flattener.place(argument, known=False)
    outputs = flattener.inline(closed, [*places, source], scope="")
    used = _used(flattener.operations, outputs)
    operations = tuple(op for op in used if not op.outputs[0].known)
    known = [op for op in used if op.outputs[0].known]
    needed = {place.number for op in operations for place in op.inputs if place.known}
    needed |= {place.number for place in outputs if place.known}
    constants = _carry_out(known, flattener.constants, sorted(needed))
    return FlatProgram(source, tuple(outputs), operations, constants, batch)


def _used(operations: Sequence[Operation], outputs: Sequence[Place]) -> list[Operation]:
    """The operations that the outputs depend on, in order."""
    wanted = {place.number for place in outputs}
    used = []
    for op in reversed(operations):
        if not wanted.isdisjoint(place.number for place in op.outputs):
            wanted |= {place.number for place in op.inputs}
            used.append(op)
    return used[::-1]


def _carry_out(
    operations: Sequence[Operation], given: dict[int, np.ndarray], wanted: Sequence[int]
) -> dict[int, np.ndarray]:
    """The values at the wanted places; one compiled program computes those that are not given."""

    def run(given: dict[int, Any]) -> list[Any]:
        values: dict[int, Any] = dict(given)
        for op in operations:
            inputs = [values[place.number] for place in op.inputs]
            outputs = op.primitive.bind(*inputs, **op.parameters)
            outputs = outputs if op.primitive.multiple_results else [outputs]
            for place, value in zip(op.outputs, outputs, strict=True):
                values[place.number] = value
        return [values[number] for number in wanted if number not in given]

    with jax.default_matmul_precision("highest"):
        computed = iter(jax.jit(run)(given))
    return {
        number: np.asarray(given[number] if number in given else next(computed))
        for number in wanted
    }


class _Flattener:
    """Puts the operations of a jaxpr, and of those inside it, into one list."""

    def __init__(self):
        self.operations: list[Operation] = []
        self.constants: dict[int, np.ndarray] = {}
        self._count = 0

    def place(self, aval: Any, *, known: bool, label: str = "") -> Place:
        self._count += 1
        return Place(self._count, tuple(aval.shape), np.dtype(aval.dtype), known, label)

    def constant(self, value: Any, label: str = "") -> Place:
        array = np.asarray(value)
        place = self.place(array, known=True, label=label)
        self.constants[place.number] = array
        return place

    def inline(self, closed: core.ClosedJaxpr, inputs: Sequence[Place], scope: str) -> list[Place]:
        """Adds the operations of a jaxpr; returns the places of its outputs."""
        jaxpr = closed.jaxpr
        places = dict(zip(jaxpr.invars, inputs, strict=True))
        places |= {
            var: self.constant(value)
            for var, value in zip(jaxpr.constvars, closed.consts, strict=True)
        }

        def read(atom: Any) -> Place:
            return self.constant(atom.val) if isinstance(atom, core.Literal) else places[atom]

        for eqn in jaxpr.eqns:
            taken = [read(atom) for atom in eqn.invars]
            inner = _inner_function(eqn)
            where = "/".join(filter(None, [scope, str(eqn.source_info.name_stack)]))
            if inner is None:
                made = self._operation(eqn, taken, where)
            else:
                made = self.inline(inner, taken, where)
            places |= dict(zip(eqn.outvars, made, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _operation(self, eqn: core.JaxprEqn, inputs: list[Place], scope: str) -> list[Place]:
        shapes = [size for var in eqn.outvars for size in var.aval.shape]  # pyright: ignore
        known = all(place.known for place in inputs) and all(isinstance(n, int) for n in shapes)
        labels = [(int(np.prod(p.shape)), p.label) for p in inputs if p.known and p.label]
        label = max(labels, default=(0, ""), key=lambda pair: pair[0])[1] if known else ""
        outputs = [self.place(var.aval, known=known, label=label) for var in eqn.outvars]
        op = Operation(eqn.primitive, dict(eqn.params), tuple(inputs), tuple(outputs), scope)
        self.operations.append(op)
        return outputs


def _inner_function(eqn: core.JaxprEqn) -> core.ClosedJaxpr | None:
    """The function that an operation calls with its own inputs, if it is such an operation."""
    for name in ("call_jaxpr", "jaxpr"):
        inner = eqn.params.get(name)
        if isinstance(inner, core.ClosedJaxpr):
            return inner
        if isinstance(inner, core.Jaxpr):
            return core.ClosedJaxpr(inner, [])
    return None
