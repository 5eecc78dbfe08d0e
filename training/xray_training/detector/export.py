"""From a trained checkpoint to a model package that says how good it is."""

from __future__ import annotations

import ast
import hashlib
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from xray_agent_tools.detector.card import write_card
from xray_agent_tools.detector.onnx import OnnxDetector
from xray_agent_tools.detector.package import (
    NETWORK_FILE,
    Calibration,
    Canary,
    Manifest,
    ModelPackage,
    OperatingPoint,
    Precision,
    SecondLook,
    Source,
    Variant,
    load_package,
    write_manifest,
)
from xray_agent_tools.detector.preprocess import place
from xray_agent_tools.detector.protocol import Detector, RawDetection
from xray_agent_tools.detector.torch import CHECKPOINT_FILE, UltralyticsDetector
from xray_agent_tools.scan import load_scan
from xray_agent_tools.taxonomy import taxonomy
from xray_training.datasets.record import ScanRecord
from xray_training.detector.operating_points import (
    Looked,
    fit_calibration,
    look_at,
    mean_recall,
    operating_points,
)
from xray_training.detector.variants import halve, quantise
from xray_training.simulator.write import SOURCE

_PARITY_SCANS = 24
_PARITY_BOX_PX = 1.0
_PARITY_CONFIDENCE = 0.01
_EXAMPLES = 200
_TIMED = 24
_WORSE = 0.01
_METADATA = ("names", "imgsz", "stride", "task", "head", "license")
_Thing = TypeVar("_Thing")
_IDENTITY = Calibration(slope=1.0, intercept=0.0, error=0.0)

LICENCES = {
    "opixray": "academic use only, by its authors",
    "pidray": "academic use only, by its authors",
    "sixray": "academic use only, by its authors",
    "benign": "scans of SIXray and OPIXray, academic use only, by their authors",
    "ifly": "none stated",
    "simulated": "Apache-2.0, made by this project",
}
"""What the sources of training scans allow."""

STATEMENT = "Research and evaluation only: not certified, not for operational use. An officer decides."
_LICENCES_OF_WEIGHTS = {
    True: "weights: trained on simulated scans alone, so no dataset's terms apply; made with Ultralytics (AGPL-3.0)",
    False: "weights: academic research and evaluation only; trained with Ultralytics (AGPL-3.0)",
}
"""By whether nothing but simulated scans was trained on."""


class ExportError(RuntimeError):
    """The exported network is not the trained one, or there is nothing to fit its operating points on."""


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What to export and how to name it.

    Attributes:
        checkpoint: trained weights.
        out: folder of the package.
        identifier: model id.
        version: model version.
        size: side of the network input in pixels.
        training: records trained on.
        validation: held-out records; calibration and operating points come from them.
        canary: a picture with a known threat.
        canary_label: that threat's label.
        false_alarm_rate: rate that each class may cost on held-out scans.
        overlap: intersection over union from which two boxes are the same.
        precision: form of the network; None takes the 8-bit one where it tells items apart as well and is faster, and
            otherwise the full one, stored in half precision.
        second_look: how doubted regions are looked at again, if that finds more on the held-out scans.
        from_scratch: whether training began with random weights, and so owes nothing to other scans.
        remarks: what a reader of the figures has to know, for the manifest and the card.
    """

    checkpoint: Path
    out: Path
    identifier: str
    version: str
    size: int
    training: Sequence[ScanRecord]
    validation: Sequence[ScanRecord]
    canary: Path
    canary_label: str
    false_alarm_rate: float = 0.01
    overlap: float = 0.6
    precision: Precision | None = None
    second_look: SecondLook | None = None
    from_scratch: bool = False
    remarks: tuple[str, ...] = ()


def export(plan: ExportPlan) -> ModelPackage:
    """Write a model package and prove that it gives the boxes of the checkpoint.

    The package is built beside its place and moved there only when everything holds.

    Raises:
        ExportError: parity fails, there is nothing to fit operating points on, or the canary does not alarm.
    """
    if plan.size % 32:
        raise ExportError(f"the input size {plan.size} is no multiple of 32")
    plan.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=plan.out.parent, prefix=".export-") as folder:
        draft = replace(plan, out=Path(folder))
        _build(draft)
        plan.out.mkdir(exist_ok=True)
        for part in draft.out.iterdir():
            shutil.move(part, plan.out / part.name)
    return load_package(plan.out)


def _build(plan: ExportPlan) -> None:
    strip_checkpoint(plan.checkpoint, plan.out / CHECKPOINT_FILE)
    with tempfile.TemporaryDirectory(dir=plan.out.parent, prefix=".variants-") as folder:
        drafts = _Drafts(plan, Path(folder))
        check_parity(drafts.detector("fp16"), drafts.trained(), plan.validation)
        precision, figures, looked = _chosen(plan, drafts)
        fitted = _fitted(plan, looked, drafts.labels)
        if plan.second_look is not None:
            again, figure = _looked_again(plan, drafts, precision, fitted)
            figures.append(figure)
            if figure.recall > _figure_of(precision, figures).recall:
                fitted = _fitted(plan, again, drafts.labels)
            else:
                plan = replace(plan, second_look=None)
        shutil.copyfile(drafts.network(precision), plan.out / NETWORK_FILE)
    _write_manifest(plan, fitted, variants=figures, precision=precision)
    package = load_package(plan.out)
    _check_canary(package)
    write_card(package)


@dataclass(frozen=True, slots=True)
class _Fitted:
    """What held-out scans make of raw scores."""

    calibration: Calibration
    points: Sequence[OperatingPoint]


def _fitted(plan: ExportPlan, looked: Sequence[Looked], labels: Sequence[str]) -> _Fitted:
    """Calibration and operating points; real scans alone calibrate, where there are any."""
    real = [entry for entry in looked if entry.real]
    calibration = _calibration(real or looked)
    return _Fitted(calibration, operating_points(looked, calibration, labels, false_alarm_rate=plan.false_alarm_rate))


def _figure_of(precision: Precision, figures: Sequence[Variant]) -> Variant:
    return next(figure for figure in figures if figure.precision == precision)


class _Drafts:
    """Packages around each form of a network, with raw scores for confidences."""

    def __init__(self, plan: ExportPlan, folder: Path) -> None:
        self._plan, self._folder = plan, folder
        shutil.copyfile(plan.out / CHECKPOINT_FILE, folder / CHECKPOINT_FILE)
        self.labels = export_network(folder / CHECKPOINT_FILE, folder / "fp32.onnx", plan.size)
        if plan.canary_label not in self.labels:
            raise ExportError(
                f"the network does not know {plan.canary_label!r}, the canary's label; it knows {self.labels}"
            )

    def network(self, precision: Precision) -> Path:
        """The network's file in a form, made if it is not there yet."""
        made = self._folder / f"{precision}.onnx"
        if not made.exists():
            if precision == "fp16":
                halve(self.network("fp32"), made)
            else:
                quantise(self.network("fp32"), made, self._inputs(self._plan.training, _EXAMPLES))
        return made

    def detector(self, precision: Precision) -> OnnxDetector:
        """A detector that looks once and gives raw scores."""
        return OnnxDetector(self._package(precision), second_look=False)

    def second_detector(self, precision: Precision, fitted: _Fitted) -> OnnxDetector:
        """A detector with confidences and operating points, which looks again at what it doubts."""
        package = self._package(precision)
        manifest = package.manifest.model_copy(
            update={"classes": tuple(fitted.points), "calibration": fitted.calibration}
        )
        return OnnxDetector(replace(package, manifest=manifest), second_look=self._plan.second_look)

    def trained(self) -> UltralyticsDetector:
        """The checkpoint as a detector that gives raw scores."""
        return UltralyticsDetector(self._package("fp32"), checkpoint=self._folder / CHECKPOINT_FILE)

    def _package(self, precision: Precision) -> ModelPackage:
        folder = self._folder / f"package-{precision}"
        if not folder.exists():
            folder.mkdir()
            shutil.copyfile(self.network(precision), folder / NETWORK_FILE)
            raw = [_provisional(label) for label in self.labels]
            _write_manifest(replace(self._plan, out=folder), _Fitted(_IDENTITY, raw))
        return load_package(folder)

    def _inputs(self, records: Sequence[ScanRecord], most: int) -> list[NDArray[np.float32]]:
        """Network inputs of scans spread over the records."""
        return [place(record.pixels(), self._plan.size)[0][None] for record in spread(records, most)]


def _chosen(plan: ExportPlan, drafts: _Drafts) -> tuple[Precision, list[Variant], list[Looked]]:
    """The form to ship, what was measured of each, and what the chosen one saw on the held-out scans."""
    full: Precision = "fp16" if plan.precision is None else plan.precision
    forms: list[Precision] = [full] if plan.precision else [full, "int8"]
    looked = {form: look_at(drafts.detector(form), plan.validation) for form in forms}
    views = [record.pixels() for record in spread(plan.validation, _TIMED)]
    seconds = {form: _seconds(drafts.detector(form), views) for form in forms}
    figures = [
        Variant(
            precision=form,
            recall=round(mean_recall(looked[form], drafts.labels), 4),
            relative_time=round(seconds[form] / seconds[full], 3),
            megabytes=round(drafts.network(form).stat().st_size / 1e6, 2),
        )
        for form in forms
    ]
    chosen = full
    if len(figures) > 1 and figures[1].recall >= figures[0].recall - _WORSE and figures[1].relative_time < 1:
        chosen = "int8"
    return chosen, figures, looked[chosen]


def _looked_again(
    plan: ExportPlan, drafts: _Drafts, precision: Precision, fitted: _Fitted
) -> tuple[list[Looked], Variant]:
    """What a second look sees on the held-out scans, in raw scores, and what it is worth and costs beside one look."""
    once, twice = drafts.detector(precision), drafts.second_detector(precision, fitted)
    looked = [_with_raw_scores(entry, fitted.calibration) for entry in look_at(twice, plan.validation)]
    views = [record.pixels() for record in spread(plan.validation, _TIMED)]
    single, double = (_seconds(detector, views) for detector in (once, twice))
    figure = Variant(
        precision=precision,
        second_look=True,
        recall=round(mean_recall(looked, drafts.labels), 4),
        relative_time=round(double / single, 3),
        megabytes=round(drafts.network(precision).stat().st_size / 1e6, 2),
    )
    return looked, figure


def _with_raw_scores(entry: Looked, calibration: Calibration) -> Looked:
    known, unknown = (
        [replace(box, confidence=calibration.score(box.confidence)) for box in boxes]
        for boxes in (entry.detections, entry.unknown)
    )
    return replace(entry, detections=known, unknown=unknown)


def _seconds(detector: Detector, views: Sequence[NDArray[np.uint8]]) -> float:
    started = time.perf_counter()
    for view in views:
        detector.detect(view, floor=0.01)
    return time.perf_counter() - started


def spread(things: Sequence[_Thing], most: int) -> list[_Thing]:
    """At most so many things, evenly spread over all."""
    return list(things[:: max(1, len(things) // most)][:most])


def _provisional(label: str) -> OperatingPoint:
    return OperatingPoint(
        label=label, threshold=0.5, recall=0, false_alarm_rate=0, positives=0, negatives=0, evidence="simulated_scans"
    )


def strip_checkpoint(checkpoint: Path, out: Path) -> None:
    """Copy a checkpoint without optimiser state, training arguments and machine paths."""
    import torch
    from ultralytics.nn.tasks import load_checkpoint

    network, _ = load_checkpoint(str(checkpoint))
    network.args = {"task": "detect", "imgsz": int(getattr(network, "args", {}).get("imgsz", 320))}
    for stale in ("pt_path", "yaml_file", "criterion"):
        if hasattr(network, stale):
            delattr(network, stale)
    if isinstance(network.yaml, dict):
        network.yaml.pop("yaml_file", None)
    torch.save({"model": network.half(), "train_args": {}, "license": "AGPL-3.0"}, out)


def export_network(checkpoint: Path, out: Path, size: int) -> list[str]:
    """Export a checkpoint to ONNX with a raw head, for any number of views; returns its class names in order."""
    import onnx
    import onnxslim
    from onnxruntime.tools.onnx_model_utils import make_dim_param_fixed
    from ultralytics import YOLO

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "network.pt"
        shutil.copyfile(checkpoint, copy)
        written = YOLO(str(copy)).export(
            format="onnx", imgsz=size, dynamic=True, simplify=False, opset=17, nms=None, verbose=False
        )
        network = onnx.load(written)
    properties: dict[str, Any] = {entry.key: entry.value for entry in network.metadata_props}
    properties["head"] = "raw"
    for side in ("height", "width"):
        make_dim_param_fixed(network.graph, side, size)
    network = onnxslim.slim(network)
    del network.metadata_props[:]
    onnx.helper.set_model_props(network, {key: properties[key] for key in _METADATA if key in properties})
    for node in (*network.graph.node, *network.graph.value_info):
        node.doc_string = ""
    onnx.save(network, str(out))
    names: dict[int, str] = ast.literal_eval(properties["names"])
    return [names[key] for key in sorted(names)]


def check_parity(exported: Detector, trained: Detector, records: Sequence[ScanRecord]) -> None:
    """Compare two detectors on non-square scans, spread over all that there are.

    Raises:
        ExportError: one has a box that the other has not within a pixel and a confidence of 0.01.
    """
    compared = 0
    for record in spread(records, 4 * _PARITY_SCANS):
        pixels = record.pixels()
        if pixels.shape[0] == pixels.shape[1] or compared == _PARITY_SCANS:
            continue
        compared += 1
        first, second = exported.detect(pixels, floor=0.1), trained.detect(pixels, floor=0.1)
        for boxes, others, lacking in ((first, second, "checkpoint"), (second, first, "exported network")):
            for box in boxes:
                if box.confidence >= 0.1 + _PARITY_CONFIDENCE and not any(_alike(box, other) for other in others):
                    raise ExportError(f"{record.image.name}: the {lacking} has no box like {box}")
    if compared == 0:
        raise ExportError("no held-out scan is wider or taller than it is square")


def _alike(one: RawDetection, other: RawDetection) -> bool:
    return (
        one.label == other.label
        and float(np.abs(np.subtract(one.box, other.box)).max()) <= _PARITY_BOX_PX
        and abs(one.confidence - other.confidence) <= _PARITY_CONFIDENCE
    )


def _calibration(looked: Sequence[Looked]) -> Calibration:
    scores = np.array([box.confidence for entry in looked for box in entry.detections])
    hits = np.array([hit for entry in looked for hit in entry.hits], dtype=np.bool_)
    try:
        return fit_calibration(scores, hits)
    except ValueError as error:
        raise ExportError(str(error)) from error


def _write_manifest(
    plan: ExportPlan,
    fitted: _Fitted,
    *,
    variants: Sequence[Variant] = (),
    precision: Precision = "fp32",
) -> None:
    counts = Counter(record.source for record in plan.training)
    canary = plan.out / f"canary{plan.canary.suffix}"
    shutil.copyfile(plan.canary, canary)
    manifest = Manifest(
        id=plan.identifier,
        version=plan.version,
        sha256=_sha256(plan.out / NETWORK_FILE),
        taxonomy_version=taxonomy().version,
        input_size=plan.size,
        overlap=plan.overlap,
        second_look=plan.second_look,
        head="raw",
        precision=precision,
        variants=tuple(variants),
        classes=tuple(fitted.points),
        calibration=fitted.calibration,
        sources=tuple(
            Source(name=name, scans=scans, licence=LICENCES.get(name, "unknown"))
            for name, scans in sorted(counts.items())
        ),
        scores=(),
        canary=Canary(file=canary.name, sha256=_sha256(canary), label=plan.canary_label),
        licence=_LICENCES_OF_WEIGHTS[plan.from_scratch and set(counts) <= {SOURCE}],
        statement=STATEMENT,
        remarks=plan.remarks,
    )
    write_manifest(plan.out, manifest)


def _check_canary(package: ModelPackage) -> None:
    known = package.manifest.canary.label
    pixels = load_scan(package.canary_bytes()).views[0].pixels
    found = OnnxDetector(package).detect(pixels, floor=package.thresholds[known])
    if not any(box.label == known for box in found):
        raise ExportError(f"the canary scan does not alarm for {known}: choose one that does")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
