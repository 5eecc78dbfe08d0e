"""Smaller forms of a network give nearly the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from xray_training.detector.variants import halve, quantise

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

SIDE = 32
CHANNELS = 16


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two convolutions, named as modules of Ultralytics are, then a sigmoid, as a head has it."""
    rng = np.random.default_rng(0)
    first = (rng.normal(size=(CHANNELS, 3, 3, 3)) / 5).astype(np.float32)
    second = (rng.normal(size=(4, CHANNELS, 3, 3)) / 12).astype(np.float32)
    make = onnx.helper.make_node
    nodes = [
        make("Conv", ["images", "first"], ["hidden"], name="/model.0/conv/Conv", pads=[1, 1, 1, 1]),
        make("Relu", ["hidden"], ["active"], name="/model.0/act/Relu"),
        make("Conv", ["active", "second"], ["raw"], name="/model.1/conv/Conv", pads=[1, 1, 1, 1]),
        make("Sigmoid", ["raw"], ["output"], name="/model.1/Sigmoid"),
    ]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "network",
        [value("images", onnx.TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [value("output", onnx.TensorProto.FLOAT, ["batch", 4, SIDE, SIDE])],
        [onnx.numpy_helper.from_array(first, "first"), onnx.numpy_helper.from_array(second, "second")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=10)
    onnx.helper.set_model_props(model, {"names": "{0: 'gun'}"})
    path = tmp_path_factory.mktemp("network") / "network.onnx"
    onnx.save(model, str(path))
    return path


def examples(count: int) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(1)
    return [rng.random((1, 3, SIDE, SIDE), dtype=np.float32) for _ in range(count)]


def run(path: Path, network_input: NDArray[np.float32]) -> Any:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": network_input})[0]


def names_of(path: Path) -> str:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return str(session.get_modelmeta().custom_metadata_map["names"])


def test_weights_in_half_precision_take_half_the_room_and_give_the_same_within_rounding(
    network: Path, tmp_path: Path
) -> None:
    halve(network, tmp_path / "half.onnx")
    (scan,) = examples(1)
    np.testing.assert_allclose(run(tmp_path / "half.onnx", scan), run(network, scan), atol=2e-3)
    assert (tmp_path / "half.onnx").stat().st_size < 0.75 * network.stat().st_size
    assert names_of(tmp_path / "half.onnx") == names_of(network)


def test_eight_bits_give_nearly_the_same_on_any_number_of_scans(network: Path, tmp_path: Path) -> None:
    quantise(network, tmp_path / "int8.onnx", examples(8))
    scans = np.concatenate(examples(3))
    np.testing.assert_allclose(run(tmp_path / "int8.onnx", scans), run(network, scans), atol=0.03)
    assert names_of(tmp_path / "int8.onnx") == names_of(network)
    kinds = {node.op_type for node in onnx.load(str(tmp_path / "int8.onnx")).graph.node}
    assert "QuantizeLinear" in kinds


def test_the_head_and_what_decodes_boxes_stay_in_single_precision(network: Path, tmp_path: Path) -> None:
    quantise(network, tmp_path / "int8.onnx", examples(4))
    graph = onnx.load(str(tmp_path / "int8.onnx")).graph
    first, head = (node for node in graph.node if node.op_type == "Conv")
    widened = {output for node in graph.node if node.op_type == "DequantizeLinear" for output in node.output}
    assert first.input[1] in widened
    assert head.input[1] not in widened
    (sigmoid,) = [node for node in graph.node if node.op_type == "Sigmoid"]
    assert [node.op_type for node in graph.node if set(node.input) & set(sigmoid.output)] == []
