"""One ONNX graph from rows to rows, normalization inside; built with ``onnx`` alone, so no torch is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_path
from interlingua.core.arrays import require
from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap
from interlingua.core.networks import NORM_EPSILON, Network, NetworkMap, blocks
from interlingua.core.translator import Translator
from interlingua.export._parts import direction, fold, new_file, provenance

# The first with LayerNormalization; every runtime since 2022 reads it.
_OPSET, _IR_VERSION = 17, 8
# A zero row stays zero instead of becoming NaN; no row of a real encoder is that short.
_SHORTEST = 1e-30


def to_onnx(translator: Translator, path: str | Path, *, inverse: bool = False) -> Path:
    """Write one direction as one ``.onnx`` file: ``vectors`` [n, d_in] in, ``translated`` [n, d_out] out, float32.

    The number of rows is dynamic, and rows do not depend on each other. Networks are exported too. The result equals
    that of `Translator.translate` up to rounding.

    Args:
        translator: what to export.
        path: the file to write; it must not exist.
        inverse: export the direction from target to source.

    Returns:
        The path.

    Raises:
        InputError: another extension, or a map of an unknown kind.
        OutputExistsError: the file exists.
        MissingExtraError: the extra ``onnx`` is not installed.
    """
    path, mapping = check_path(path), direction(translator, inverse=inverse)
    onnx = require("onnx", "onnx")
    graph = _Graph(onnx)
    if isinstance(mapping, AffineMap):
        out = _affine(graph, mapping)
    elif isinstance(mapping, NetworkMap):
        out = _network(graph, mapping)
    else:
        raise InputError(f"A map of the kind {type(mapping).__name__} has no ONNX form; save the translator itself.")
    model = graph.model(out, mapping.d_in, mapping.d_out)
    onnx.helper.set_model_props(model, provenance(translator, inverse=inverse))
    onnx.checker.check_model(model)
    with new_file(path, ".onnx") as fresh:
        fresh.write_bytes(model.SerializeToString())
    return path


class _Graph:
    """Nodes and weights of a graph under construction; values are named by their index."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator and return the name of its result."""
        name = f"v{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, [name], **attributes))
        return name

    def weight(self, values: npt.ArrayLike, dtype: Any = np.float32) -> str:
        """Add a constant and return its name."""
        name = f"w{len(self._weights)}"
        self._weights.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(values, dtype), name))
        return name

    def unit(self, x: str) -> str:
        """Bring rows to unit norm."""
        return self.op("Div", x, self.op("Max", self.op("ReduceL2", x, axes=[1]), self.weight(_SHORTEST)))

    def linear(self, x: str, weight: npt.ArrayLike, bias: npt.ArrayLike) -> str:
        """Multiply with ``weight`` [d_out, d_in] and add ``bias`` [d_out]."""
        return self.op("Gemm", x, self.weight(weight), self.weight(bias), transB=1)

    def model(self, out: str, d_in: int, d_out: int) -> Any:
        """Return everything as a model."""
        helper, float32 = self._onnx.helper, self._onnx.TensorProto.FLOAT
        self._nodes.append(helper.make_node("Identity", [out], ["translated"]))
        ends = [
            helper.make_tensor_value_info(name, float32, ["n", d])
            for name, d in (("vectors", d_in), ("translated", d_out))
        ]
        graph = helper.make_graph(self._nodes, "interlingua", ends[:1], ends[1:], self._weights)
        opset = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(graph, producer_name="interlingua", opset_imports=opset, ir_version=_IR_VERSION)


def _affine(g: _Graph, mapping: AffineMap) -> str:
    folded = fold(mapping)
    x = g.linear(g.unit("vectors") if folded.unit_in else "vectors", folded.weight, folded.bias)
    return g.op("Mul", g.unit(x), g.weight(folded.norm_out)) if folded.unit_out else x


def _network(g: _Graph, mapping: NetworkMap) -> str:
    net = mapping.network
    entry, leaving = net.names.index(mapping.source), net.names.index(mapping.target)
    z, width = _adapter(g, net, f"input_adapters.{entry}", g.unit("vectors"), mapping.d_in)
    branch, width = _mlp(g, net, "backbone", z, width, net.depths[1])
    if net.gated:
        branch = g.op("Add", z, g.op("Mul", branch, g.weight(net.tensors["backbone_gate"])))
    out = g.unit(_adapter(g, net, f"output_adapters.{leaving}", branch, width)[0])
    return g.op("Mul", out, g.weight(net.norms[leaving])) if net.norms else out


def _adapter(g: _Graph, net: Network, name: str, x: str, width: int) -> tuple[str, int]:
    if not net.gated:
        return _mlp(g, net, name, x, width, net.depths[0])
    branch, out_width = _mlp(g, net, f"{name}.branch", x, width, net.depths[0])
    gated = g.op("Mul", branch, g.weight(net.tensors[f"{name}.gate"]))
    return g.op("Add", _linear(g, net, f"{name}.skip", x), gated), out_width


def _mlp(g: _Graph, net: Network, name: str, x: str, width: int, depth: int) -> tuple[str, int]:
    """Add blocks of layers, each beside a skip over the columns that its two ends share; return result and width."""
    for number, layers in enumerate(blocks(depth)):
        out, out_width = x, width
        for position, layer in enumerate(layers):
            key = f"{name}.blocks.{number}.{position}"
            if layer == "linear":
                out, out_width = _linear(g, net, key, out), len(net.tensors[f"{key}.weight"])
            elif layer == "silu":
                out = g.op("Mul", out, g.op("Sigmoid", out))
            elif layer == "norm":
                out = _normalized(g, net, key, out)
        x, width = g.op("Add", out, _resized(g, x, width, out_width)), out_width
    return x, width


def _resized(g: _Graph, x: str, width: int, wanted: int) -> str:
    if wanted < width:
        return g.op("Slice", x, *(g.weight([value], np.int64) for value in (0, wanted, 1)))
    return g.op("Pad", x, g.weight([0, 0, 0, wanted - width], np.int64)) if wanted > width else x


def _linear(g: _Graph, net: Network, name: str, x: str) -> str:
    return g.linear(x, net.tensors[f"{name}.weight"], net.tensors[f"{name}.bias"])


def _normalized(g: _Graph, net: Network, name: str, x: str) -> str:
    weight, bias = (np.asarray(net.tensors[f"{name}.{part}"], np.float64) for part in ("weight", "bias"))
    if net.norm != "batch":
        return g.op("LayerNormalization", x, g.weight(weight), g.weight(bias), axis=-1, epsilon=NORM_EPSILON)
    mean, variance = (np.asarray(net.tensors[f"{name}.running_{part}"], np.float64) for part in ("mean", "var"))
    scale = weight / np.sqrt(variance + NORM_EPSILON)
    return g.op("Add", g.op("Mul", x, g.weight(scale)), g.weight(bias - mean * scale))
