"""What evidence is worth, as data and as a page."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from xray_agent_tools.detector.package import Manifest
from xray_agent_tools.markdown import table
from xray_evals.evidence import ANSWERS, MaterialWorth, OcclusionWorth, material_worth, occlusion_worth
from xray_evals.evidence_seen import FLOOR, Seen
from xray_evals.evidence_truth import BANDS

TRUE_BOXES = "true boxes"
DETECTIONS = "the model's own detections"

_NOTHING = "none"

_Worth = TypeVar("_Worth")


@dataclass(frozen=True, slots=True)
class EvidenceResults:
    """Everything that was measured, by group of objects, and with what; ``scans`` says on which scans, in words."""

    manifest: Manifest
    command: str
    commit: str
    scans: str
    occlusion: Sequence[OcclusionWorth]
    material: Sequence[MaterialWorth]

    @property
    def quoted(self) -> tuple[list[OcclusionWorth], list[MaterialWorth]]:
        """The groups that a model card quotes."""
        groups = (TRUE_BOXES, DETECTIONS)
        return [w for w in self.occlusion if w.group in groups], [w for w in self.material if w.group in groups]


def judged(true: Sequence[Seen], found: Sequence[Seen]) -> tuple[list[OcclusionWorth], list[MaterialWorth]]:
    """Judge objects in their true boxes, threats alone, each scanner alone, and in the boxes of detections."""
    groups = {TRUE_BOXES: true, DETECTIONS: found, f"{TRUE_BOXES}, threats": [one for one in true if one.truth.threat]}
    scanners = sorted({one.scanner for one in true})
    if len(scanners) > 1:
        groups |= {f"{TRUE_BOXES}, {name}": [one for one in true if one.scanner == name] for name in scanners}
    return _worths(occlusion_worth, groups), _worths(material_worth, groups)


def _worths(judge: Callable[[str, Sequence[Seen]], _Worth | None], groups: dict[str, Sequence[Seen]]) -> list[_Worth]:
    return [worth for name, seen in groups.items() if (worth := judge(name, seen)) is not None]


def as_data(results: EvidenceResults) -> dict[str, Any]:
    """Everything that was measured, ready for JSON: what is not a number is null."""
    manifest = results.manifest
    data = {
        "model": {"id": manifest.id, "version": manifest.version, "sha256": manifest.sha256},
        "command": results.command,
        "scans": results.scans,
        "commit": results.commit,
        "date": datetime.now(UTC).date().isoformat(),
        "occlusion": [asdict(worth) for worth in results.occlusion],
        "material": [asdict(worth) for worth in results.material],
    }
    return dict(_plain(data))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def as_page(data: dict[str, Any]) -> str:
    """The same in Markdown."""
    model = data["model"]
    sections = [
        "# What the evidence is worth",
        "Occlusion and material are computed from the pixels of a box. Here they are held against what the simulator "
        "knows of the objects in it, and beside answers that take no thought. What they are worth on real scans is not "
        "known: no real scan comes with this truth. Intervals are bootstrap 95 % over scans.",
        f"Model `{model['id']} {model['version']}` (network `{model['sha256'][:16]}`) for the detections, those from a "
        f"confidence of {FLOOR} that overlap an object of their label by at least half. {data['scans']}. "
        f"Command: `{data['command']}`. "
        f"Commit {data['commit']}, {data['date']}.",
        *_occlusion(data["occlusion"]),
        *_material(data["material"]),
    ]
    return "\n\n".join(sections) + "\n"


def _occlusion(worths: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "## Occlusion"
    yield (
        "An object counts as hidden if everything else attenuates more than it does in over 30 % of its silhouette. AUC "
        "is the probability that a hidden object scores higher than an open one; 0.5 is chance. The trivial scores "
        "are turned the way that suits them. `label` is the mean hidden share of the label on these very scans, for "
        "which nobody has to look at pixels; AUC within a label compares only objects of one label, where it gets 0.5."
    )
    yield _verdicts(worths, _occlusion_verdict)
    yield table(
        ["objects", "scans", "count", "hidden", "AUC", "best trivial", "lead", "AUC within a label", "darkness, same"],
        [
            [w["group"], w["scans"], w["support"], _f(w["hidden"]), _i(w["auc"]), _best(w["baselines"]), _i(w["lead"])]
            + [_f(part) for part in w["within"]]
            for w in worths
        ],
    )
    names = list(worths[0]["baselines"]) if worths else []
    yield table(
        ["AUC of trivial scores", *names], [[w["group"], *(_f(w["baselines"][name]) for name in names)] for w in worths]
    )
    cuts = list(worths[0]["at_cuts"]) if worths else []
    yield table(
        [
            "objects",
            *(f"AUC, hidden over {float(cut):.0%}" for cut in cuts),
            "rank correlation",
            "accuracy of `occluded`",
            "commoner answer",
            "balanced accuracy",
        ],
        [
            [
                w["group"],
                *(_f(w["at_cuts"][cut]) for cut in cuts),
                _i(w["rank"]),
                _i(w["accuracy"]),
                _f(w["majority"]),
                _i(w["balanced"]),
            ]
            for w in worths
        ],
    )
    thresholds = list(worths[0]["by_threshold"]) if worths else []
    yield table(
        ["accuracy of calling an item occluded", *(f"from {threshold}" for threshold in thresholds), "commoner answer"],
        [[w["group"], *(_f(w["by_threshold"][at]) for at in thresholds), _f(w["majority"])] for w in worths],
    )


def _verdicts(worths: Sequence[dict[str, Any]], verdict: Callable[[dict[str, Any]], str]) -> str:
    quoted = [worth for worth in worths if worth["group"] in (TRUE_BOXES, DETECTIONS)]
    return " ".join(f"In {worth['group']} {verdict(worth)}." for worth in quoted)


def _occlusion_verdict(worth: dict[str, Any]) -> str:
    return "; ".join(
        [
            _verdict(worth["lead"], 0.0, f"the score {{}} the best trivial score ({_best(worth['baselines'])})"),
            _verdict(worth["accuracy"], worth["majority"], "`occluded` {} the commoner answer"),
            _verdict(worth["balanced"], 0.5, "with hidden and open objects weighing alike it {} that"),
        ]
    )


def _material(worths: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "## Material"
    yield (
        "Materials belong to a band by effective atomic number: organic below 10, mixed from 10, metal from 16 (lead is "
        "one). Judged are objects on colour scans whose materials are all of one band; of the others the simulator's "
        "truth does not say which band predominates. The answer is the strongest share. Opaque is a state of the ray, "
        "never of an object, so it counts as wrong; so does no answer."
    )
    if not worths:
        yield "No scan shows colour."
        return
    yield _verdicts(worths, _material_verdict)
    yield table(
        [f"{worths[0]['group']}: made of", *(f"looks {name}" for name in ANSWERS)],
        [[band, *row] for band, row in zip(BANDS, worths[0]["confusion"], strict=True)],
    )
    yield table(
        [
            "objects",
            "scans",
            "count",
            "accuracy",
            "commonest band",
            "commonest band of the label",
            "balanced accuracy",
            "the label's",
        ],
        [
            [
                w["group"],
                w["scans"],
                w["support"],
                _i(w["accuracy"]),
                _f(w["majority"]),
                _f(w["by_label"][0]),
                _i(w["balanced"]),
                _f(w["by_label"][1]),
            ]
            for w in worths
        ],
    )
    yield (
        "Varied labels are those whose objects come in more than one band. The last columns are over all objects, "
        "of several bands too: how often the strongest share is one of their bands, beside naming the band that "
        "most of them hold."
    )
    yield table(
        [
            "objects",
            "mean error of a share",
            "mean shares",
            "mean shares of the label",
            "varied labels: count",
            "accuracy",
            "commonest band of the label",
            "all: count",
            "one of its bands",
            "always the same",
        ],
        [
            [
                w["group"],
                _i(w["error"]),
                _f(w["error_constant"]),
                _f(w["error_by_label"]),
                w["varied"][0],
                _i(w["varied"][1]),
                _f(w["varied"][2]),
                w["among_own"][0],
                _i(w["among_own"][1]),
                _f(w["among_own"][2]),
            ]
            for w in worths
        ],
    )


def _material_verdict(worth: dict[str, Any]) -> str:
    kinds = sum(any(row) for row in worth["confusion"])
    if kinds == 1:
        return _verdict(
            worth["accuracy"], 1.0, "all objects are of one band, and the strongest share {} always naming it"
        )
    return "; ".join(
        [
            _verdict(worth["accuracy"], worth["majority"], "the strongest share {} naming the commonest band"),
            _verdict(worth["balanced"], 1 / kinds, "with the bands weighing alike it {} that"),
            _verdict(worth["accuracy"], worth["by_label"][0], "it {} naming the commonest band of each label"),
        ]
    )


def _verdict(interval: Sequence[float | None], baseline: float, sentence: str) -> str:
    _, low, high = interval
    if low is None or high is None:
        return sentence.format("cannot be set beside")
    if low > baseline:
        return sentence.format("beats")
    return sentence.format("does worse than" if high < baseline else "cannot be told from")


def _best(baselines: dict[str, float]) -> str:
    name = max(baselines, key=baselines.__getitem__)
    return f"{_f(baselines[name])} {name}"


def _f(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.3f}"


def _i(interval: Sequence[float | None]) -> str:
    value, low, high = interval
    return _NOTHING if value is None else f"{_f(value)} ({_f(low)} to {_f(high)})"
