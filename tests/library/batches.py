"""Model packages whose network takes any number of views at once, in the forms that networks come in."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from xray_agent_tools.detector.package import NETWORK_FILE, load_package, write_manifest

ANCHORS = 4


Form = Literal["float", "8-bit", "half"]


def batch_package(folder: Path, form: Form = "float") -> Path:
    """The default package with a network that sees only how bright a view is; its canary always alarms.

    The 8-bit form rounds the views to 256 levels and back, as quantised networks do between layers; the half form
    takes and gives 16-bit numbers.
    """
    source = load_package("default")
    shutil.copytree(source.folder, folder)
    manifest = source.manifest
    labels = len(manifest.labels)
    base = np.zeros((1, 4 + labels, ANCHORS), dtype=np.float32)
    slope = np.zeros_like(base)
    base[0, :4] = [[60, 150, 240, 300], [60, 150, 240, 300], [40] * ANCHORS, [30] * ANCHORS]
    base[0, 4 + manifest.labels.index(manifest.canary.label), 0] = 0.999
    for anchor in range(1, ANCHORS):
        base[0, 4 + anchor, anchor], slope[0, 4 + anchor, anchor] = 1.2, -0.6 - 0.1 * anchor
    number = TensorProto.FLOAT16 if form == "half" else TensorProto.FLOAT
    read = {
        "float": [helper.make_node("Identity", ["images"], ["seen"])],
        "half": [helper.make_node("Cast", ["images"], ["seen"], to=TensorProto.FLOAT)],
        "8-bit": [
            helper.make_node("QuantizeLinear", ["images", "step", "zero"], ["levels"]),
            helper.make_node("DequantizeLinear", ["levels", "step", "zero"], ["seen"]),
        ],
    }
    nodes = [
        *read[form],
        helper.make_node("ReduceMean", ["seen", "axes"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "ends"], ["level"]),
        helper.make_node("Mul", ["level", "slope"], ["sloped"]),
        helper.make_node("Add", ["sloped", "base"], ["raw"]),
        helper.make_node("Clip", ["raw", "low"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["output0"], to=number),
    ]
    constants = {
        "axes": np.array([1, 2, 3]),
        "ends": np.array([1, 2]),
        "slope": slope,
        "base": base,
        "low": np.array(0, dtype=np.float32),
        "step": np.array(1 / 255, dtype=np.float32),
        "zero": np.array(0, dtype=np.uint8),
    }
    size = manifest.input_size
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("images", number, ["batch", 3, size, size])],
        [helper.make_tensor_value_info("output0", number, ["batch", 4 + labels, ANCHORS])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {"names": str(dict(enumerate(manifest.labels)))})
    path = folder / NETWORK_FILE
    onnx.save(model, str(path))
    write_manifest(folder, manifest.model_copy(update={"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}))
    return folder
