"""Other detectors beside the one that is scored: parts left out, other models, the peer."""

from __future__ import annotations

from dataclasses import dataclass

from xray_evals.assess import Assessment


@dataclass(frozen=True, slots=True)
class VariantScore:
    """The figures that detectors are compared by; None where there is nothing to measure them on.

    Attributes:
        name: what the tables call it.
        map50: mAP50 by source.
        mean_map50: their mean.
        tpr: true positive rate per image by false positive rate, over all sources.
        ece: expected calibration error over all sources.
        simulated_map50: mAP50 of the threat categories on simulated scans.
        median_ms: median milliseconds of a look.
    """

    name: str
    map50: dict[str, float]
    mean_map50: float
    tpr: dict[float, float] | None
    ece: float | None
    simulated_map50: float | None
    median_ms: float

    @classmethod
    def of(cls, name: str, found: Assessment) -> VariantScore:
        """The figures of an assessment."""
        images, calibration = found.all_images, found.all_calibration
        return cls(
            name=name,
            map50={source.source: source.map50 for source in found.sources},
            mean_map50=found.mean_map50,
            tpr={rate: values[0] for rate, values in images.at_rate.items()} if images else None,
            ece=calibration.ece if calibration else None,
            simulated_map50=found.simulated.threats_map50 if found.simulated else None,
            median_ms=found.median_ms,
        )
