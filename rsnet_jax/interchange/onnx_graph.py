"""A graph of ONNX under construction: nodes, initializers, and the names of both."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rsnet_jax.errors import ExportError
from rsnet_jax.interchange.flat_program import Size


@dataclasses.dataclass(frozen=True)
class Value:
    """A tensor of the graph, or a constant that may become one.

    Broadcasting is put off: an axis may have length 1 in the graph where the program repeats it, as
    operations per element do that themselves.
    """

    shape: tuple[Size, ...]
    """As the program has it."""
    stored: tuple[Size, ...]
    """As the graph has it: equal to `shape`, or 1 where the program repeats."""
    dtype: np.dtype
    name: str = ""
    """Of the tensor; empty for a constant."""
    array: np.ndarray | None = None
    """A constant."""
    label: str = ""
    """The weight that a constant is made of."""

    @property
    def whole(self) -> bool:
        return self.stored == self.shape


def constant(array: Any, *, label: str = "") -> Value:
    """A constant as a value."""
    array = np.asarray(array)
    return Value(array.shape, array.shape, array.dtype, array=array, label=label)


class Graph:
    """Collects nodes and initializers."""

    def __init__(self, *, input_name: str, batch: Size):
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}
        self.scope = ""
        """The module that is being written; nodes are named after it."""
        self._input_name = input_name
        self._batch = batch
        self._batch_tensor = ""
        self._known: dict[tuple[Any, ...], str] = {}
        self._counts: dict[str, int] = {}
        self._made_by: dict[str, onnx.NodeProto] = {}

    def add(self, kind: str, inputs: Sequence[Value | str], **attributes: Any) -> str:
        """Adds a node with one output; returns the name of the output."""
        return self.add_several(kind, inputs, outputs=1, **attributes)[0]

    def add_several(
        self, kind: str, inputs: Sequence[Value | str], *, outputs: int, **attributes: Any
    ) -> list[str]:
        """Adds a node; returns the names of its outputs."""
        name = self._fresh("/".join(filter(None, [self.scope, kind])))
        made = [name if outputs == 1 else f"{name}.{i}" for i in range(outputs)]
        tensors = [item if isinstance(item, str) else self.tensor(item) for item in inputs]
        node = helper.make_node(kind, tensors, made, name=name, **attributes)
        self.nodes.append(node)
        self._made_by |= {output: node for output in made}
        return made

    def made_by(self, value: Value) -> onnx.NodeProto | None:
        """The node that a value comes from, if it does."""
        return self._made_by.get(value.name)

    def tensor(self, value: Value) -> str:
        """The name of a value in the graph; equal constants become one initializer."""
        if value.array is None:
            return value.name
        array = np.ascontiguousarray(value.array).reshape(value.array.shape)
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._known:
            name = self._known[key] = self._fresh(value.label or "constant")
            self.initializers[name] = numpy_helper.from_array(array, name)
        return self._known[key]

    def sizes(self, shape: Sequence[Size]) -> str:
        """A tensor of the lengths of axes, some of them multiples of the batch."""
        if all(isinstance(size, int) for size in shape):
            return self.tensor(constant(np.array(shape, np.int64), label="sizes"))
        if not self._batch_tensor:
            self._batch_tensor = self.add("Shape", [self._input_name], start=0, end=1)
        parts = []
        for size in shape:
            factor = size if isinstance(size, int) else self._of_batch(size)
            part = constant(np.array([factor], np.int64), label="size")
            if not isinstance(size, int):
                part = self.add("Mul", [self._batch_tensor, part])
            parts.append(part)
        return self.add("Concat", parts, axis=0)

    def _of_batch(self, size: Size) -> int:
        factor = size // self._batch
        if not isinstance(factor, int) or factor * self._batch != size:
            raise ExportError(f"ONNX: no counterpart of an axis of length {size}")
        return factor

    def whole(self, value: Value) -> Value:
        """A value whose repeated axes are repeated in the graph, too."""
        if value.whole:
            return value
        if value.array is not None and all(isinstance(size, int) for size in value.shape):
            return dataclasses.replace(
                constant(np.broadcast_to(value.array, value.shape)), label=value.label
            )
        name = self.add("Expand", [value, self.sizes(value.shape)])
        return Value(value.shape, value.shape, value.dtype, name)

    def reshape(self, value: Value, shape: tuple[Size, ...]) -> Value:
        """The elements of a value, in order, in another shape."""
        value = self.whole(value)
        if value.shape == shape:
            return value
        if value.array is not None:
            return constant(value.array.reshape(shape), label=value.label)
        symbolic = [axis for axis, size in enumerate(shape) if not isinstance(size, int)]
        if len(symbolic) <= 1:
            numbers = tuple(size if isinstance(size, int) else -1 for size in shape)
            sizes = self.sizes(numbers)
        else:
            sizes = self.sizes(shape)
        return Value(shape, shape, value.dtype, self.add("Reshape", [value, sizes]))

    def transpose(self, value: Value, order: Sequence[int]) -> Value:
        """A value with its axes in another order; two in a row become one."""
        order = tuple(order)
        shape = tuple(value.shape[axis] for axis in order)
        stored = tuple(value.stored[axis] for axis in order)
        if value.array is not None:
            array = np.ascontiguousarray(value.array.transpose(order))
            return Value(shape, stored, value.dtype, array=array, label=value.label)
        source = value.name
        before = self.made_by(value)
        if before is not None and before.op_type == "Transpose":
            inner = helper.get_node_attr_value(before, "perm")
            source, order = before.input[0], tuple(inner[axis] for axis in order)
        if order == tuple(range(len(order))):
            return Value(shape, stored, value.dtype, source)
        name = self.add("Transpose", [source], perm=list(order))
        return Value(shape, stored, value.dtype, name)

    def rename(self, value: Value, name: str) -> None:
        """Makes a value an output of the graph under a name of its own."""
        self.nodes.append(helper.make_node("Identity", [self.tensor(value)], [name], name=name))

    def used_nodes(self, outputs: Sequence[str]) -> list[onnx.NodeProto]:
        """The nodes that outputs depend on, in order."""
        wanted, used = set(outputs), []
        for node in reversed(self.nodes):
            if not wanted.isdisjoint(node.output):
                wanted |= set(node.input)
                used.append(node)
        return used[::-1]

    def _fresh(self, name: str) -> str:
        count = self._counts[name] = self._counts.get(name, 0) + 1
        return name if count == 1 else f"{name}_{count - 1}"
