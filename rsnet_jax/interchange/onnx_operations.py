"""The operations of JAX in those of ONNX: a function per kind, in a table by name.

Only what occurs in the networks of this package is here; another operation is an error that names
it. Shapes are those of the flat program, with a symbolic batch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import helper

from rsnet_jax.errors import ExportError
from rsnet_jax.interchange.flat_program import Operation, Place
from rsnet_jax.interchange.onnx_graph import Graph, Value, constant
from rsnet_jax.interchange.onnx_products import dot_general

Translate = Callable[[Graph, Operation, list[Value]], list[Value]]
"""Adds the nodes of an operation to a graph; returns its outputs."""


def translate(graph: Graph, op: Operation, inputs: list[Value]) -> list[Value]:
    """Adds an operation to a graph; returns its outputs.

    Raises:
        ExportError: it is of a kind that no network of this package has had.
    """
    graph.scope = op.scope
    name = op.primitive.name
    if name in ELEMENTWISE:
        return [_per_element(graph, ELEMENTWISE[name], inputs, op.outputs[0])]
    if name in SAME:
        return inputs
    if name not in OTHERS:
        raise ExportError(f"ONNX: no counterpart of JAX's {name}, in {op.scope}")
    return OTHERS[name](graph, op, inputs)


def _per_element(graph: Graph, kind: str, inputs: Sequence[Value], output: Place) -> Value:
    name = graph.add(kind, inputs)
    return Value(output.shape, _stored(inputs, output), output.dtype, name)


def _stored(inputs: Sequence[Value], output: Place) -> tuple[Any, ...]:
    """The axes of the result of an operation per element: repeated if all inputs have them so."""
    same_rank = [value for value in inputs if len(value.shape) == len(output.shape)]
    return tuple(
        size if any(value.stored[axis] == size for value in same_rank) else 1
        for axis, size in enumerate(output.shape)
    )


def _square(graph: Graph, op: Operation, inputs: list[Value]) -> list[Value]:
    return [_per_element(graph, "Mul", [inputs[0], inputs[0]], op.outputs[0])]


def _rsqrt(graph: Graph, op: Operation, inputs: list[Value]) -> list[Value]:
    root = _per_element(graph, "Sqrt", inputs, op.outputs[0])
    return [_per_element(graph, "Reciprocal", [root], op.outputs[0])]


def _select(graph: Graph, op: Operation, inputs: list[Value]) -> list[Value]:
    which, on_false, on_true = inputs
    if which.dtype != np.bool_:
        raise ExportError("ONNX: no counterpart of a choice among more than two")
    return [_per_element(graph, "Where", [which, on_true, on_false], op.outputs[0])]


def _cast(graph: Graph, op: Operation, inputs: list[Value]) -> list[Value]:
    (value,), output = inputs, op.outputs[0]
    if value.dtype == output.dtype:
        return [value]
    name = graph.add("Cast", [value], to=helper.np_dtype_to_tensor_dtype(output.dtype))
    return [Value(value.shape, value.stored, output.dtype, name)]


def _reduce(kind: str) -> Translate:
    def reduce(graph: Graph, op: Operation, inputs: list[Value]) -> list[Value]:
        axes, output = op.parameters["axes"], op.outputs[0]
        value = graph.whole(inputs[0])
        axes_tensor = constant(np.array(axes, np.int64), label="axes")
        name = graph.add(kind, [value, axes_tensor], keepdims=0)
        return [Value(output.shape, output.shape, output.dtype, name)]

    return reduce


def _broadcast(graph: Graph, op: Operation, inputs: list[Value]) -> list[Value]:
    """Puts axes of length 1 where the result has new ones; they are repeated when needed."""
    value, output = inputs[0], op.outputs[0]
    kept = op.parameters["broadcast_dimensions"]
    stored: list[Any] = [1] * len(output.shape)
    for axis, place in enumerate(kept):
        stored[place] = value.stored[axis]
    new = [axis for axis in range(len(stored)) if axis not in kept]
    if value.array is not None:
        array = value.array.reshape(stored)
        return [Value(output.shape, tuple(stored), value.dtype, array=array, label=value.label)]
    name = value.name
    if new:
        axes = constant(np.array(new, np.int64), label="axes")
        name = graph.add("Unsqueeze", [value, axes])
    return [Value(output.shape, tuple(stored), value.dtype, name)]


def _reshape(graph: Graph, op: Operation, inputs: list[Value]) -> list[Value]:
    return [graph.reshape(inputs[0], op.outputs[0].shape)]


def _transpose(graph: Graph, op: Operation, inputs: list[Value]) -> list[Value]:
    return [graph.transpose(inputs[0], op.parameters["permutation"])]


def _concatenate(graph: Graph, op: Operation, inputs: list[Value]) -> list[Value]:
    parts, output = [graph.whole(value) for value in inputs], op.outputs[0]
    name = graph.add("Concat", parts, axis=op.parameters["dimension"])
    return [Value(output.shape, output.shape, output.dtype, name)]


def _split(graph: Graph, op: Operation, inputs: list[Value]) -> list[Value]:
    sizes, axis = op.parameters["sizes"], op.parameters["axis"]
    if any(size != sizes[0] for size in sizes):
        raise ExportError("ONNX: no counterpart of a split into unequal parts")
    value = graph.whole(inputs[0])
    names = graph.add_several(
        "Split", [value], outputs=len(sizes), axis=axis, num_outputs=len(sizes)
    )
    return [
        Value(output.shape, output.shape, output.dtype, name)
        for output, name in zip(op.outputs, names, strict=True)
    ]


def _slice(graph: Graph, op: Operation, inputs: list[Value]) -> list[Value]:
    strides = op.parameters["strides"] or [1] * len(inputs[0].shape)
    if any(stride != 1 for stride in strides):
        raise ExportError("ONNX: no counterpart of a slice with steps")
    starts, ends = op.parameters["start_indices"], op.parameters["limit_indices"]
    return [_cut(graph, inputs[0], starts, ends)]


def _cut(graph: Graph, value: Value, starts: Sequence[Any], ends: Sequence[Any]) -> Value:
    """The part of a value from `starts` to `ends`, of those axes that are cut."""
    value = graph.whole(value)
    ranges = list(zip(starts, ends, value.shape, strict=True))
    cut = [axis for axis, (start, end, size) in enumerate(ranges) if start != 0 or end != size]
    if not cut:
        return value
    shape = tuple(
        end - start if axis in cut else size for axis, (start, end, size) in enumerate(ranges)
    )
    bounds = [[ranges[axis][side] for axis in cut] for side in (0, 1)]
    if not all(isinstance(bound, int | np.integer) for bound in (*bounds[0], *bounds[1])):
        raise ExportError("ONNX: no counterpart of a slice of the batch")
    arguments = [np.array(numbers, np.int64) for numbers in (*bounds, cut)]
    name = graph.add("Slice", [value, *(constant(numbers) for numbers in arguments)])
    return Value(shape, shape, value.dtype, name)


def _gather(graph: Graph, op: Operation, inputs: list[Value]) -> list[Value]:
    """Indexing with constants: a part of some axes, or a choice along one."""
    value, indices = inputs
    numbers, sizes = op.parameters["dimension_numbers"], op.parameters["slice_sizes"]
    if indices.array is None or numbers.operand_batching_dims:
        raise ExportError("ONNX: no counterpart of indices that depend on the input")
    output, axes = op.outputs[0], numbers.start_index_map
    places = indices.array
    if places.ndim == 1:  # one part
        starts = [0] * len(value.shape)
        for axis, start in zip(axes, places.tolist(), strict=True):
            starts[axis] = start
        ends = [
            start + size if axis in axes else value.shape[axis]
            for axis, (start, size) in enumerate(zip(starts, sizes, strict=True))
        ]
        part = _cut(graph, value, starts, ends)
        return [graph.reshape(part, output.shape)]
    (axis,) = axes  # a choice along one axis
    added = range(axis, axis + places.ndim - 1)
    offsets = tuple(i for i in range(len(output.shape)) if i not in added)
    if numbers.collapsed_slice_dims != (axis,) or numbers.offset_dims != offsets:
        raise ExportError("ONNX: no counterpart of indexing of several axes")
    chosen = constant(places[..., 0].astype(np.int64), label="joints")
    name = graph.add("Gather", [graph.whole(value), chosen], axis=axis)
    return [Value(output.shape, output.shape, output.dtype, name)]


def _scatter_multiply(graph: Graph, op: Operation, inputs: list[Value]) -> list[Value]:
    """Multiplication of a part, such as x alone, with constants: a product with a mask."""
    value, indices, factors = inputs
    if indices.array is None or factors.array is None:
        raise ExportError("ONNX: no counterpart of factors that depend on the input")
    ones = np.ones([size if isinstance(size, int) else 1 for size in value.shape], value.dtype)
    shape = [size if isinstance(size, int) else 1 for size in factors.shape]
    updates = np.broadcast_to(factors.array, shape)
    mask = np.asarray(op.primitive.bind(ones, indices.array, updates, **op.parameters))
    name = graph.add("Mul", [value, constant(mask, label="mirror")])
    return [Value(value.shape, value.stored, value.dtype, name)]


def _dot_general(graph: Graph, op: Operation, inputs: list[Value]) -> list[Value]:
    return [dot_general(graph, *inputs, dimension_numbers=op.parameters["dimension_numbers"])]


ELEMENTWISE: Mapping[str, str] = {
    **{"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min"},
    **{"erf": "Erf", "exp": "Exp", "log": "Log", "logistic": "Sigmoid", "sqrt": "Sqrt"},
    **{"neg": "Neg", "abs": "Abs", "tanh": "Tanh", "and": "And", "or": "Or", "not": "Not"},
    **{"gt": "Greater", "ge": "GreaterOrEqual", "lt": "Less", "le": "LessOrEqual", "eq": "Equal"},
}
SAME = ("copy", "optimization_barrier", "stop_gradient")
"""Operations that give what they take."""
OTHERS: Mapping[str, Translate] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "convert_element_type": _cast,
    "dot_general": _dot_general,
    "expand_dims": _reshape,
    "gather": _gather,
    "reduce_max": _reduce("ReduceMax"),
    "reduce_sum": _reduce("ReduceSum"),
    "reshape": _reshape,
    "rsqrt": _rsqrt,
    "scatter-mul": _scatter_multiply,
    "select_n": _select,
    "slice": _slice,
    "split": _split,
    "square": _square,
    "squeeze": _reshape,
    "transpose": _transpose,
}
