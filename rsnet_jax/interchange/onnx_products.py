"""Products of arrays over any axes (`dot_general`) as matrix products of ONNX."""

import math
from collections.abc import Sequence

from rsnet_jax.interchange.flat_program import Size
from rsnet_jax.interchange.onnx_graph import Graph, Value

Axes = tuple[int, ...]


def dot_general(
    graph: Graph,
    left: Value,
    right: Value,
    dimension_numbers: tuple[tuple[Axes, Axes], tuple[Axes, Axes]],
) -> Value:
    """The product over the contracted axes, for each index of the batch axes.

    Axes of the result: batch, those of `left` alone, those of `right` alone.
    """
    (left_sum, right_sum), (left_batch, right_batch) = (
        tuple(map(tuple, pair)) for pair in dimension_numbers
    )
    left_free = _others(left, (*left_sum, *left_batch))
    right_free = _others(right, (*right_sum, *right_batch))
    shape = (
        *(left.shape[axis] for axis in left_batch),
        *(left.shape[axis] for axis in left_free),
        *(right.shape[axis] for axis in right_free),
    )
    dtype, last = left.dtype, len(left.shape) - 1
    if right.array is not None and not left_batch and len(left_sum) == 1:
        # A weight: ONNX multiplies all leading axes of the left factor with the same matrix.
        if left_sum[0] == last:
            matrix = _matrix(graph, right, (), right_sum, right_free)
            product = graph.add("MatMul", [graph.whole(left), matrix])
            wide = (*(left.shape[axis] for axis in left_free), matrix.shape[-1])
            return graph.reshape(Value(wide, wide, dtype, product), shape)
        if left_sum[0] == last - 1 and len(right_free) == 1:
            matrix = _matrix(graph, right, (), right_free, right_sum)
            product = graph.add("MatMul", [matrix, graph.whole(left)])
            wide = (*left.shape[: last - 1], matrix.shape[0], left.shape[last])
            order = (*range(last - 1), last, last - 1)
            return graph.transpose(Value(wide, wide, dtype, product), order)
    rows = _matrix(graph, left, left_batch, left_free, left_sum)
    columns = _matrix(graph, right, right_batch, right_sum, right_free)
    wide = (*rows.shape[:-1], columns.shape[-1])
    product = Value(wide, wide, dtype, graph.add("MatMul", [rows, columns]))
    return graph.reshape(product, shape)


def _matrix(graph: Graph, value: Value, batch: Axes, rows: Axes, columns: Axes) -> Value:
    """A value as a stack of matrices: batch axes, one axis of all rows, one of all columns."""
    value = graph.transpose(graph.whole(value), (*batch, *rows, *columns))
    stack, height = len(batch), len(rows)
    shape = value.shape
    matrix = (
        *shape[:stack],
        _product(shape[stack : stack + height]),
        _product(shape[stack + height :]),
    )
    return graph.reshape(value, matrix)


def _product(sizes: Sequence[Size]) -> Size:
    return math.prod(sizes)


def _others(value: Value, axes: Axes) -> Axes:
    return tuple(axis for axis in range(len(value.shape)) if axis not in axes)
