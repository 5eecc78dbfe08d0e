"""The curves of the results page, as small pictures that are the same from the same figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from xray_evals.calibration import CalibrationScore
from xray_evals.images import ImageScore

_STYLE = {"svg.hashsalt": "xray", "svg.fonttype": "none", "font.size": 9, "path.simplify_threshold": 1.0}
_SMALLEST_BIN = 10


def write_plots(images: Sequence[ImageScore], calibration: Sequence[CalibrationScore], out: Path) -> list[Path]:
    """Write ``roc.svg`` and ``reliability.svg``, each where there is something to draw.

    Args:
        images: alarms per image, by source.
        calibration: calibration by source.
        out: the folder; made if it is not there.

    Returns:
        What was written.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = []
    if images:
        written.append(_write(out / "roc.svg", lambda axes: _roc(axes, images)))
    if calibration:
        written.append(_write(out / "reliability.svg", lambda axes: _reliability(axes, calibration)))
    return written


def _write(path: Path, draw: Callable[[Axes], None]) -> Path:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.2, 4.2), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        draw(axes)
        axes.grid(alpha=0.3)
        axes.legend()
        figure.savefig(path, metadata={"Date": None})
    return path


def _roc(axes: Axes, images: Sequence[ImageScore]) -> None:
    for image in images:
        rates = np.arange(image.negatives + 1) / image.negatives
        axes.step(rates, image.roc, where="post", linewidth=1.4, label=f"{image.source}, AUC {image.auc[0]:.3f}")
    axes.set(xlabel="benign scans that alarm", ylabel="scans with a threat that alarm", xlim=(0, 1), ylim=(0, 1.01))
    axes.set_title("Alarms per image")


def _reliability(axes: Axes, calibration: Sequence[CalibrationScore]) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="dashed")
    for score in calibration:
        bins = [one for one in score.bins if one.detections >= _SMALLEST_BIN]
        if bins:
            places = [one.confidence for one in bins]
            label = f"{score.source}, ECE {score.ece:.3f}"
            axes.plot(places, [one.right for one in bins], marker="o", markersize=3, linewidth=1.4, label=label)
    axes.set(xlabel="confidence", ylabel="share of detections that are right", xlim=(0, 1), ylim=(0, 1.01))
    axes.set_title(f"Reliability, bins with at least {_SMALLEST_BIN} detections")
