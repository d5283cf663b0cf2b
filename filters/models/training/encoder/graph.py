"""The encoder as an ONNX graph, whose weights are in its safetensors file.

Each token's activations become whole numbers of 8 bits by a scale of the token's own, so that what a text
scores does not depend on the texts beside it, and no posts are needed to choose ranges. The product
with a matrix of int8 is one operator of ONNX Runtime (`MatMulIntegerToFloat`): written as the four of the
standard, ONNX Runtime joins them for a scale of the whole batch alone.

Source: pipeline/DESIGN.md, note 89; Dettmers et al. 2022, arXiv:2208.07339, section 2.1, for scales of rows.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sluice.filters.transformers.encoder.onnx_engine import IDS, SCORES
from sluice.filters.transformers.encoder.weights import (
    BLOCK,
    DTYPES,
    EPSILON,
    EncoderShape,
    Header,
    read_header,
)

OPSET: Final = 20
IR: Final = 10
RUNTIME: Final = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""
MIDDLE: Final = 128
"""What stands for zero among whole numbers from 0 to 255."""
LEAST: Final = 1e-9
"""Of the scale of a token's activations, so that zeros stay zeros."""


class Graph:
    """A graph in the making: each method returns the name of what a node gives.

    Args:
        header: of the file of weights.
        location: its name, beside the graph.
    """

    def __init__(self, header: Header, location: str):
        self._header, self._location = header, location
        self._nodes: list[Any] = []
        self._tensors: dict[str, Any] = {}

    def node(self, kind: str, *inputs: str, gives: str = "", domain: str = "", **about: Any) -> str:
        """Returns the name of what a node gives: `gives`, or a new one."""
        name = gives or f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(kind, inputs, [name], name=name, domain=domain, **about)
        )
        return name

    def parts(self, x: str, *, axis: int, parts: int) -> list[str]:
        """Returns the names of equal parts of a tensor along an axis, without that axis."""
        names = [f"part_{len(self._nodes)}_{i}" for i in range(parts)]
        self._nodes.append(
            helper.make_node("Split", [x], names, name=names[0], axis=axis, num_outputs=parts)
        )
        return [self.node("Squeeze", name, self.constant([axis])) for name in names]

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        """Returns the name of a constant."""
        array = np.asarray(value, dtype)
        name = f"constant_{array.dtype}_{'_'.join(map(str, array.ravel().tolist()))}_{array.ndim}"
        self._tensors[name] = numpy_helper.from_array(array, name)
        return name

    def weight(self, name: str) -> str:
        """Returns the name of a tensor of the file."""
        place = self._header.places[name]
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(DTYPES[place.dtype]))
        found = TensorProto(name=name, data_type=kind, dims=place.shape)
        found.data_location = TensorProto.EXTERNAL
        about = {"location": self._location, "offset": place.offset, "length": place.num_bytes}
        for key, value in about.items():
            found.external_data.add(key=key, value=str(value))
        self._tensors[name] = found
        return name

    def model(self, shape: EncoderShape) -> Any:
        """Returns the model of the graph."""
        ids = helper.make_tensor_value_info(IDS, TensorProto.INT64, ["B", "T"])
        scores = helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, ["B", len(shape.labels)])
        graph = helper.make_graph(
            self._nodes, "encoder", [ids], [scores], list(self._tensors.values())
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(RUNTIME, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR)


def write_graph(path: Path, weights: Path) -> None:
    """Writes the graph of an encoder's file, which must stand beside it."""
    header = read_header(weights)
    shape, graph = header.shape, Graph(header, weights.name)
    sizes = graph.node("Shape", IDS)
    x_NH = graph.node("Reshape", _begin(graph, shape, sizes), graph.constant([-1, shape.hidden]))
    for i in range(shape.layers):
        x_NH = _layer(graph, x_NH, f"layers.{i}", shape, sizes)
    _heads(graph, x_NH, sizes, shape)
    path.write_bytes(graph.model(shape).SerializeToString(deterministic=True))
    onnx.checker.check_model(str(path))


def _begin(graph: Graph, shape: EncoderShape, sizes: str) -> str:
    """Returns (B, T, H), pieces and their positions."""
    blocks = shape.hidden // BLOCK
    pairs = graph.node("Gather", graph.weight("pieces.pairs"), IDS)
    pairs = graph.node("Reshape", pairs, graph.constant([0, 0, blocks, BLOCK // 2]))
    low = graph.node("BitwiseAnd", pairs, graph.constant(15, np.uint8))
    high = graph.node("BitShift", pairs, graph.constant(4, np.uint8), direction="RIGHT")
    bits = graph.node("Cast", graph.node("Concat", low, high, axis=3), to=TensorProto.FLOAT)
    centred = graph.node("Sub", bits, graph.constant(8, np.float32))
    scales = graph.node("Gather", graph.weight("pieces.scales"), IDS)
    scales = graph.node("Cast", scales, to=TensorProto.FLOAT)
    scales = graph.node("Unsqueeze", scales, graph.constant([3]))
    pieces = graph.node("Mul", centred, scales)
    pieces = graph.node("Reshape", pieces, graph.constant([0, 0, shape.hidden]))
    length = graph.node("Slice", sizes, graph.constant([1]), graph.constant([2]))
    begin = graph.constant([0])
    positions = graph.node("Slice", graph.weight("position.weight"), begin, length, begin)
    return _normed(graph, graph.node("Add", pieces, positions), "norm")


def _layer(graph: Graph, x_NH: str, at: str, shape: EncoderShape, sizes: str) -> str:
    """Returns (N, H), what a layer makes of the N = B * T tokens of all texts."""
    found = _product(graph, _attention(graph, x_NH, at, shape, sizes), f"{at}.out")
    x_NH = _normed(graph, graph.node("Add", x_NH, found), f"{at}.norm_out")
    inner = graph.node("Gelu", _product(graph, x_NH, f"{at}.up"))
    found = _product(graph, inner, f"{at}.down")
    return _normed(graph, graph.node("Add", x_NH, found), f"{at}.norm_down")


def _attention(graph: Graph, x_NH: str, at: str, shape: EncoderShape, sizes: str) -> str:
    """Returns (N, H), the mean of values of a text's tokens, by how a token's query finds their keys."""
    width = shape.hidden // shape.attention
    tail = graph.constant([3, shape.attention, width])
    by_head = graph.node("Concat", sizes, tail, axis=0)
    qkv = graph.node("Reshape", _product(graph, x_NH, f"{at}.qkv"), by_head)
    q, k, v = graph.parts(qkv, axis=2, parts=3)
    q, v = (graph.node("Transpose", part, perm=[0, 2, 1, 3]) for part in (q, v))
    found = graph.node("MatMul", q, graph.node("Transpose", k, perm=[0, 2, 3, 1]))
    found = graph.node("Mul", found, graph.constant(width**-0.5, np.float32))
    mixed = graph.node("MatMul", graph.node("Softmax", found, axis=-1), v)
    mixed = graph.node("Transpose", mixed, perm=[0, 2, 1, 3])
    return graph.node("Reshape", mixed, graph.constant([-1, shape.hidden]))


def _product(graph: Graph, x_NI: str, at: str) -> str:
    """Returns (N, O), a linear layer of int8 weights on activations that become whole numbers by rows."""
    last = graph.constant([-1])
    largest = graph.node("ReduceMax", graph.node("Abs", x_NI), last, keepdims=0)
    scales = graph.node("Mul", largest, graph.constant(1 / 127, np.float32))
    scales = graph.node("Max", scales, graph.constant(LEAST, np.float32))
    middle = numpy_helper.from_array(np.array([MIDDLE], np.uint8))
    zeros = graph.node("ConstantOfShape", graph.node("Shape", scales), value=middle)
    whole = graph.node("QuantizeLinear", x_NI, scales, zeros, axis=0)
    weights, one = graph.weight(f"{at}.weight"), graph.constant(1, np.float32)
    about = (weights, one, graph.weight(f"{at}.scale"), graph.constant(MIDDLE, np.uint8))
    found = graph.node("MatMulIntegerToFloat", whole, *about, domain=RUNTIME)
    found = graph.node("Mul", found, graph.node("Unsqueeze", scales, graph.constant([1])))
    return graph.node("Add", found, graph.weight(f"{at}.bias"))


def _normed(graph: Graph, x: str, at: str) -> str:
    about = (graph.weight(f"{at}.weight"), graph.weight(f"{at}.bias"))
    return graph.node("LayerNormalization", x, *about, epsilon=EPSILON, axis=-1)


def _heads(graph: Graph, x_NH: str, sizes: str, shape: EncoderShape) -> None:
    """Adds the scores: the mean over a text's tokens, the heads, their calibration and a sigmoid."""
    tail = graph.constant([shape.hidden])
    x_BTH = graph.node("Reshape", x_NH, graph.node("Concat", sizes, tail, axis=0))
    mean_BH = graph.node("ReduceMean", x_BTH, graph.constant([1]), keepdims=0)
    heads = (graph.weight("heads.weight"), graph.weight("heads.bias"))
    logits_BL = graph.node("Gemm", mean_BH, *heads, transB=1)
    sloped_BL = graph.node("Mul", logits_BL, graph.weight("heads.slope"))
    calibrated_BL = graph.node("Add", sloped_BL, graph.weight("heads.intercept"))
    graph.node("Sigmoid", calibrated_BL, gives=SCORES)
