"""Smaller forms of an exported network: half-precision storage, and 8-bit arithmetic."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST_HALVED = 256
_MODULE = re.compile(r"/model\.(\d+)/")


def halve(network: Path, out: Path) -> None:
    """Store a network's weights in half precision; the runtime widens them once, when it loads the file."""
    import onnx

    model = onnx.load(str(network))
    widened = []
    for weight in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < _LEAST_HALVED:
            continue
        name = weight.name
        weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        widened.append(
            onnx.helper.make_node("Cast", [f"{name}_half"], [name], name=f"{name}_widen", to=onnx.TensorProto.FLOAT)
        )
    nodes = [*widened, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(out))


def quantise(network: Path, out: Path, inputs: Sequence[NDArray[np.float32]]) -> None:
    """Quantise a network's convolutions to 8 bits, scales fitted on examples (static, per channel).

    Ultralytics' head, its last module, stays in single precision: quantised, it cost a tenth of the recall. So does the
    decoding of boxes in any network, whose values span the whole input. Weights take 7 of the 8 bits, because processors
    without VNNI instructions would overflow otherwise.

    Args:
        network: an exported network in single precision.
        out: where to write.
        inputs: network inputs of scans like those it will see, each of shape (1, 3, size, size), 0..1.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(network), str(prepared), skip_symbolic_shape=True)
        metadata = list(onnx.load(str(network)).metadata_props)
        model = onnx.load(str(prepared))
        quantize_static(
            str(prepared),
            str(out),
            _Examples(model.graph.input[0].name, inputs),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=sorted({*_decoding_nodes(model), *_head_nodes(model)}),
            extra_options={"CalibMovingAverage": True},
        )
    quantised = onnx.load(str(out))
    del quantised.metadata_props[:]
    quantised.metadata_props.extend(metadata)
    onnx.save(quantised, str(out))


def _decoding_nodes(model: Any) -> list[str]:
    """Everything behind the head's last convolutions, and the one that turns a box's distribution into an offset."""
    makers = {output: node for node in model.graph.node for output in node.output}
    found: dict[str, Any] = {}
    frontier = [output.name for output in model.graph.output]
    while frontier:
        node = makers.get(frontier.pop())
        if node is None or node.name in found or (node.op_type == "Conv" and "dfl" not in node.name):
            continue
        found[node.name] = node
        frontier.extend(node.input)
    return list(found)


def _head_nodes(model: Any) -> list[str]:
    """The nodes of the last of Ultralytics' modules, which are named ``/model.N/...``."""
    modules = [(int(found[1]), node.name) for node in model.graph.node if (found := _MODULE.match(node.name))]
    last = max((number for number, _ in modules), default=None)
    return [name for number, name in modules if number == last]


class _Examples:
    """Feeds examples to the quantiser."""

    def __init__(self, name: str, inputs: Sequence[NDArray[np.float32]]) -> None:
        self._feeds = iter([{name: example} for example in inputs])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next example."""
        return next(self._feeds, None)
