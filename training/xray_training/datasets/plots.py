"""Plots of what a dataset holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from xray_training.datasets.examine import Examined
from xray_training.datasets.record import LabelledBox, ScanRecord

_CELLS = 32
_BINS = 40
_SHOWN = 20_000


@dataclass(frozen=True, slots=True)
class _Scans:
    """The scans of one source whose pictures could be read, each with what its pixels said."""

    source: str
    pairs: Sequence[tuple[ScanRecord, Examined]]

    def boxes(self) -> list[tuple[LabelledBox, Examined]]:
        return [(box, examined) for record, examined in self.pairs for box in record.boxes]


def write_plots(records: Sequence[ScanRecord], examined: Sequence[Examined], out: Path) -> None:
    """Write ``classes.png``, ``box_sizes.png``, ``centres.png`` and ``pictures.png``.

    Args:
        records: the scans.
        examined: what the pixels of each said, in the same order.
        out: an existing folder.
    """
    readable = [pair for pair in zip(records, examined, strict=True) if pair[1].fault is None]
    names = list(dict.fromkeys(record.source for record, _ in readable))
    sources = [_Scans(name, [pair for pair in readable if pair[0].source == name]) for name in names]
    plots: dict[str, Callable[[Figure, Sequence[_Scans]], None]] = {
        "classes": _classes,
        "box_sizes": _box_sizes,
        "centres": _centres,
        "pictures": _pictures,
    }
    for name, draw in plots.items():
        figure = Figure(figsize=(12, 6.5), layout="constrained", dpi=110)
        FigureCanvasAgg(figure)
        draw(figure, sources)
        figure.savefig(out / f"{name}.png")


def _classes(figure: Figure, sources: Sequence[_Scans]) -> None:
    counts = {scans.source: Counter(box.label for box, _ in scans.boxes()) for scans in sources}
    labels = sorted(
        {label for count in counts.values() for label in count}, key=lambda n: -sum(c[n] for c in counts.values())
    )
    axes = figure.add_subplot(title="Boxes by class and source", ylabel="boxes")
    base = np.zeros(len(labels))
    for source, count in counts.items():
        heights = np.array([count[label] for label in labels], dtype=float)
        if heights.any():
            axes.bar([label.replace("_", " ") for label in labels], heights, bottom=base, label=source)
        base += heights
    if labels:
        axes.tick_params(axis="x", rotation=60)
        axes.legend(markerscale=4)


def _box_sizes(figure: Figure, sources: Sequence[_Scans]) -> None:
    scatter, histogram = figure.subplots(1, 2)
    scatter.set(title="Boxes", xlabel="width, share of the frame", ylabel="height, share of the frame")
    scatter.set(xlim=(0, 1), ylim=(0, 1))
    histogram.set(title="Longer side of the boxes", xlabel="pixels", ylabel="boxes")
    for scans in sources:
        boxes = scans.boxes()
        if not boxes:
            continue
        sides = np.array([(box.x_max - box.x_min, box.y_max - box.y_min) for box, _ in boxes])
        pixels = sides * np.array([(examined.width, examined.height) for _, examined in boxes])
        scatter.scatter(*sides[:_SHOWN].T, s=5, alpha=0.4, linewidths=0, label=scans.source)
        histogram.hist(pixels.max(axis=1), bins=_BINS, histtype="step", linewidth=1.6, label=scans.source)
    for axes in (scatter, histogram):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(markerscale=4)


def _centres(figure: Figure, sources: Sequence[_Scans]) -> None:
    holding = [scans for scans in sources if scans.boxes()]
    figure.suptitle("Where the centres of the boxes lie in the frame" if holding else "There is no box")
    if not holding:
        return
    columns = min(4, len(holding))
    grid = figure.subplots(-(-len(holding) // columns), columns, squeeze=False).ravel()
    for axes, scans in zip(grid, holding, strict=False):
        centres = np.array([((box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2) for box, _ in scans.boxes()])
        heat, _, _ = np.histogram2d(centres[:, 1], centres[:, 0], bins=_CELLS, range=((0, 1), (0, 1)))
        axes.imshow(heat, extent=(0, 1, 1, 0), cmap="magma")
        axes.set_title(f"{scans.source} ({len(centres)})")
    for axes in grid[len(holding) :]:
        axes.set_axis_off()


def _pictures(figure: Figure, sources: Sequence[_Scans]) -> None:
    sizes, brightness = figure.subplots(1, 2)
    sizes.set(title="Pictures", xlabel="width, pixels", ylabel="height, pixels")
    brightness.set(title="Brightness", xlabel="mean luminance of a scan, 0..255", ylabel="scans")
    for scans in sources:
        examined = [found for _, found in scans.pairs]
        extent = ([found.width for found in examined], [found.height for found in examined])
        sizes.scatter(*extent, s=8, alpha=0.4, linewidths=0, label=scans.source)
        values = [found.brightness for found in examined]
        brightness.hist(values, bins=_BINS, range=(0, 255), histtype="step", linewidth=1.6, label=scans.source)
    for axes in (sizes, brightness):
        if sources:
            axes.legend(markerscale=4)
