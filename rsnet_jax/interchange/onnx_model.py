"""A flat program as a model of ONNX."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper

from rsnet_jax.interchange.flat_program import BATCH, FlatProgram, Place
from rsnet_jax.interchange.onnx_graph import Graph, Value, constant
from rsnet_jax.interchange.onnx_operations import translate

OPSET = 18
"""The version of ONNX's operations: the oldest in which reductions take their axes as an input,
which most runtimes of 2023 and later know."""
IR_VERSION = 8
"""The version of the file format that came with it."""


def onnx_model(
    program: FlatProgram,
    *,
    input_name: str,
    output_names: Sequence[str],
    name: str,
    version: str,
    metadata: Mapping[str, str],
) -> onnx.ModelProto:
    """Makes a model, weights included, that ONNX's own checker accepts.

    Raises:
        ExportError: the program has an operation that no network here has had.
    """
    graph = Graph(input_name=input_name, batch=program.batch)
    source = program.input
    labels = {p.number: p.label for op in program.operations for p in op.inputs if p.known}
    values = {
        number: constant(array, label=labels.get(number, ""))
        for number, array in program.constants.items()
    }
    values[source.number] = Value(source.shape, source.shape, source.dtype, input_name)
    for op in program.operations:
        outputs = translate(graph, op, [values[place.number] for place in op.inputs])
        for place, value in zip(op.outputs, outputs, strict=True):
            assert value.shape == place.shape, (op.primitive.name, value.shape, place.shape)
            values[place.number] = value
    graph.scope = ""
    for place, output in zip(program.outputs, output_names, strict=True):
        graph.rename(graph.whole(values[place.number]), output)
    nodes = graph.used_nodes(output_names)
    read = {tensor for node in nodes for tensor in node.input}
    made = helper.make_graph(
        nodes,
        name,
        [_described(input_name, source)],
        [_described(n, p) for n, p in zip(output_names, program.outputs, strict=True)],
        [tensor for key, tensor in graph.initializers.items() if key in read],
    )
    model = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="rsnet_jax",
        producer_version=version,
    )
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    return model


def _described(name: str, place: Place) -> onnx.ValueInfoProto:
    """Name, type and shape of an input or output."""
    shape = [size if isinstance(size, int) else BATCH for size in place.shape]
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(np.dtype(place.dtype)), shape
    )
