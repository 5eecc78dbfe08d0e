"""The results page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from xray_agent_tools.markdown import table
from xray_evals.calibration import BINS, LOWEST_CONFIDENCE
from xray_evals.coco import FRAME_PX, SIZES
from xray_evals.confusion import BACKGROUND
from xray_evals.images import FALSE_POSITIVE_RATES, OPERATING, PREVALENCES

_LARGEST_CONFUSIONS = 15
_NOTHING = "not measured"
_ABLATIONS = "model.md#what-the-parts-of-training-are-worth"
_UNTOUCHED = "test"

Data = dict[str, Any]
Row = list[object]


def as_page(data: Data, *, plots: Sequence[str] = (), docs: str | None = None) -> str:
    """The results in Markdown.

    Args:
        data: what ``as_data`` gives.
        plots: paths of the plots, relative to the page.
        docs: the documentation's folder, relative to the page; without it nothing links there.
    """
    return "\n\n".join(_sections(data, plots, docs)) + "\n"


def _sections(data: Data, plots: Sequence[str], docs: str | None) -> Iterator[str]:
    yield from _opening(data)
    if docs is not None:
        yield f"[What was tried, and what would close the distance]({docs}/model.md#what-would-close-the-distance)."
    yield from _boxes(data)
    yield from _images(data, plots)
    yield from _calibration(data, plots)
    yield from _confusion(data)
    if data["simulated"] is not None:
        yield from _simulated(data["simulated"])
    if data["robustness"]:
        yield from _robustness(data["robustness"])
    if data["ablations"]:
        yield "## Content crop and second look"
        yield (
            "The same network on the same scans; the first row is the model as it ships. ECE is of the calibration "
            "fitted on that. Times are of this run alone, and without reading the picture."
        )
        yield _variants(data["ablations"])
    yield "## Other models"
    if data["others"]:
        yield (
            "On the same scans and by the same scoring. The peer's confidences go through the model's calibration, which "
            "changes no average precision."
        )
        yield _variants(data["others"])
    if not data["compared"]:
        yield _ablations_of_training(docs)


def _ablations_of_training(docs: str | None) -> str:
    said = "Ablations of training (masked loss, simulated pretraining) compare runs of their own"
    return f"{said}: {_NOTHING} here." if docs is None else f"{said}: [what they showed]({docs}/{_ABLATIONS})."


def _opening(data: Data) -> Iterator[str]:
    model, split = data["model"], data["split"]
    where = (
        "test scans that nothing was trained or tuned on"
        if split == _UNTOUCHED
        else f"scans of the split `{split}`, on which the model may have been trained or tuned: no figure to quote"
    )
    yield "# Results"
    yield (
        f"What a detector does on {where}. Each source counts on the "
        "classes that it annotates; a class that the model does not know counts as zero in mAP50 and is left out of "
        "'known classes'. pycocotools computes every average precision. results.json beside this page has every figure."
    )
    yield (
        f"Model `{model['id']} {model['version']}` (network `{model['sha256'][:16]}`, {model['backend']}). "
        f"Command: `{data['command']}`. Commit {data['commit']}, {data['date']}."
    )
    yield "## Goals"
    yield table(["what", "goal", "measured", "missing", "beside it"], [_goal(goal) for goal in data["goals"]])


def _goal(goal: Data) -> Row:
    if goal["measured"] is None:
        target = f"{goal['sense']} {_f(goal['goal'])}" if goal["goal"] else "no lower"
        return [goal["what"], target, _NOTHING, "", goal["remark"]]
    missing = "met" if goal["met"] else _f(goal["distance"])
    return [goal["what"], f"{goal['sense']} {_f(goal['goal'])}", _f(goal["measured"]), missing, goal["remark"]]


def _boxes(data: Data) -> Iterator[str]:
    yield "## Boxes"
    rows: list[Row] = [
        [s["source"], s["scans"], _f(s["map50"]), _f(s["map50_95"]), _f(s["map50_known"])] for s in data["sources"]
    ]
    yield table(
        ["source", "scans", "mAP50", "mAP50-95", "mAP50, known classes"],
        [*rows, ["**mean**", "", f"**{_f(data['mean_map50'])}**", "", ""]],
    )
    yield "## Boxes by class"
    yield table(
        ["source", "class", "boxes", "AP50", "AP50-95"],
        [[s["source"], c["label"], c["support"], *_precision(c)] for s in data["sources"] for c in s["classes"]],
    )
    yield "## Boxes by size"
    yield (
        f"mAP50, with the number of boxes. Sizes are COCO's (small below 32 x 32 pixels, large above 96 x 96) in a frame "
        f"scaled to {FRAME_PX} pixels, so that they mean the same share of a scan whatever the scanner's resolution."
    )
    yield table(["source", *SIZES[1:]], [[s["source"], *_by_size(s["sizes"])] for s in data["sources"]])


def _precision(score: Data) -> list[str]:
    return [_f(score[name]) if score["known"] else "not known" for name in ("ap50", "ap50_95")]


def _by_size(sizes: Sequence[Data]) -> list[str]:
    found = {size["size"]: f"{_f(size['map50'])} ({size['support']})" for size in sizes}
    return [found.get(size, "none") for size in SIZES[1:]]


def _images(data: Data, plots: Sequence[str]) -> Iterator[str]:
    if not data["images"]:
        return
    negatives = data["images"][0]["negatives"]
    yield "## Alarms per image"
    yield (
        "An image's score is its most certain threat. Only labels that the benign scans were searched for count: "
        f"{', '.join(data['counted_per_image'])}. A rate of false alarms is that of {negatives} benign scans, too "
        f"few to prove one of 1 % (that takes 300). Intervals are bootstrap 95 % over scans drawn one by one, while the "
        "benign ones come from two runs of neighbouring scans: the true uncertainty is larger. The benign scans are "
        "SIXray's and OPIXray's, in colour, so the rates for PIDray and ifly stand at a threshold set on other scanners."
    )
    yield from _plot(plots, "roc", "ROC of alarms per image, by source")
    yield table(
        ["source", "threat scans", "AUC", *(f"TPR at FPR {rate:.0%}" for rate in FALSE_POSITIVE_RATES)],
        [[i["source"], i["positives"], _i(i["auc"]), *map(_i, i["at_rate"].values())] for i in data["images"]],
    )
    yield (
        "At the operating points that ship with the model, with Wilson's 95 % intervals. 'Every alarm' is of any label "
        "of severity medium or higher; on benign scans it may be right, where nobody looked for such items."
    )
    yield table(
        ["source", "TPR", "FPR", "TPR, every alarm", "FPR, every alarm"],
        [
            [i["source"], *(_i(i[which][rate]) for which in ("operating", "alarming") for rate in ("tpr", "fpr"))]
            for i in data["images"]
        ],
    )
    yield (
        "Positive predictive value over all sources: the share of alarms that are right, where one bag in a hundred, a "
        "thousand or ten thousand holds a threat. Where no benign scan alarms at the operating points, three of their "
        "number stands in."
    )
    yield table(
        ["point", *(f"1 in {round(1 / prevalence):,}" for prevalence in PREVALENCES)],
        [
            [name if name == OPERATING else f"FPR {float(name):.0%}", *(f"{value:.4f}" for value in values.values())]
            for name, values in data["images"][-1]["ppv"].items()
        ],
    )


def _calibration(data: Data, plots: Sequence[str]) -> Iterator[str]:
    yield "## Calibration"
    yield (
        f"Over detections with a calibrated confidence of {LOWEST_CONFIDENCE} or more on labels that their scan's source "
        "annotates; right means the label and an IoU of 0.5. The calibration itself is fitted on real scans held out of "
        f"training, over raw scores from 0.01 on, which are not the same detections. ECE has {BINS} bins of equal width, "
        "the adaptive one as many with equally many detections. Most detections are of low confidence, so the error "
        "over those that reach their operating point stands beside it."
    )
    yield from _plot(plots, "reliability", "Share of detections that are right, by confidence and source")
    yield table(
        ["source", "detections", "ECE", "adaptive ECE", "Brier", "alarms", "ECE of the alarms"],
        [
            [
                c["source"],
                c["detections"],
                *(_f(c[name]) for name in ("ece", "adaptive_ece", "brier")),
                c["alarms"],
                _f(c["alarms_ece"]),
            ]
            for c in data["calibration"]
        ],
    )


def _confusion(data: Data) -> Iterator[str]:
    counts: dict[str, dict[str, int]] = data["confusion"]
    labels = [label for label in counts if label != BACKGROUND]
    yield "## What is taken for what"
    yield (
        "At the operating points, over all sources: alarms and boxes matched at IoU 0.5 whatever their labels, the right "
        "label first. A box without an alarm is missed; an alarm without a box is false, where its label is annotated. "
        "The sources' `knife` covers cutters and multi-tool knives too, so a boxed knife that alarms as `cutter` or "
        "`multi_tool_knife` counts as taken for another."
    )
    false = counts.get(BACKGROUND, {})
    yield table(
        ["label", "boxes", "found", "taken for another", "missed", "false alarms"],
        [
            [
                label,
                sum(counts.get(label, {}).values()),
                counts.get(label, {}).get(label, 0),
                sum(count for taken, count in counts.get(label, {}).items() if taken not in (label, BACKGROUND)),
                counts.get(label, {}).get(BACKGROUND, 0),
                false.get(label, 0),
            ]
            for label in sorted({*labels, *false})
        ],
    )
    mistakes = sorted(
        (-count, truth, taken)
        for truth in labels
        for taken, count in counts[truth].items()
        if taken not in (truth, BACKGROUND)
    )[:_LARGEST_CONFUSIONS]
    if mistakes:
        yield f"The {len(mistakes)} largest confusions:"
        yield table(["what it is", "taken for", "boxes"], [[truth, taken, -count] for count, truth, taken in mistakes])


def _simulated(simulated: Data) -> Iterator[str]:
    boxes, threats = simulated["boxes"], set(simulated["threats"])
    yield "## Simulated scans of scanners never trained on"
    yield (
        "Threat categories are the labels of severity medium or higher in the taxonomy, and whatever else STCray names; "
        "everyday items are all others. A category that the model does not know counts as zero."
    )
    kinds = [("threat categories", True), ("everyday items", False)]
    rows: list[Row] = []
    for name, threat in kinds:
        classes = [c for c in boxes["classes"] if (c["label"] in threats) == threat]
        known = sum(c["known"] for c in classes)
        figure = simulated["threats_map50" if threat else "everyday_map50"]
        rows.append([name, len(classes), known, sum(c["support"] for c in classes), _f(figure)])
    yield table([f"{boxes['scans']} scans", "categories", "known", "boxes", "mAP50"], rows)
    if simulated["images"] is not None:
        i = simulated["images"]
        yield (
            f"Per image, every threat category counting, on {i['positives']} bags with a threat and {i['negatives']} "
            f"without: AUC {_i(i['auc'])}; "
            + "; ".join(f"TPR at FPR {float(rate):.0%} {_i(value)}" for rate, value in i["at_rate"].items())
            + f"; at the operating points TPR {_f(i['operating']['tpr'][0])}, FPR {_f(i['operating']['fpr'][0])}."
        )
    yield "Threats by how much of them others hide, and by size as above:"
    yield table(
        ["hidden", "boxes", "mAP50", "found at the operating points"],
        [
            [f"{o['least']:.0%} to {o['most']:.0%}", o["support"], _f(o["map50"]), _f(o["recall"])]
            for o in simulated["occlusion"]
        ],
    )
    yield table(["", *SIZES[1:]], [["threats and everyday items", *_by_size(boxes["sizes"])]])
    yield table(
        ["class", "threat", "boxes", "AP50", "AP50-95"],
        [
            [
                c["label"],
                "yes" if c["label"] in threats else "no",
                c["support"],
                *_precision(c),
            ]
            for c in boxes["classes"]
        ],
    )


def _robustness(changes: Sequence[Data]) -> Iterator[str]:
    first = changes[0]
    yield "## Changed scans"
    yield (
        f"mAP50 on {first['scans']} scans with {first['boxes']} boxes, drawn with a fixed seed, the same under each "
        "change. The palettes are made up: no source shows them."
    )
    sources = list(first["map50"])
    yield table(
        ["change", "mean mAP50", *sources],
        [[c["change"], _f(c["mean_map50"]), *(_f(c["map50"][source]) for source in sources)] for c in changes],
    )


def _variants(variants: Sequence[Data]) -> str:
    sources = list(variants[0]["map50"])
    rates = [str(rate) for rate in FALSE_POSITIVE_RATES]
    return table(
        ["", "mean mAP50", *sources, *(f"TPR at FPR {float(r):.0%}" for r in rates), "ECE", "simulated threats", "ms"],
        [
            [
                v["name"],
                _f(v["mean_map50"]),
                *(_f(v["map50"][source]) for source in sources),
                *(_f(v["tpr"][rate]) if v["tpr"] else "" for rate in rates),
                _f(v["ece"]) if v["ece"] is not None else "",
                _f(v["simulated_map50"]) if v["simulated_map50"] is not None else "",
                f"{v['median_ms']:.0f}",
            ]
            for v in variants
        ],
    )


def _plot(plots: Sequence[str], name: str, caption: str) -> Iterator[str]:
    for plot in plots:
        if f"{name}." in plot:
            yield f"![{caption}]({plot})"


def _f(value: float) -> str:
    return f"{value:.3f}"


def _i(value: Sequence[float]) -> str:
    """A share with its interval."""
    return f"{value[0]:.3f} ({value[1]:.3f} to {value[2]:.3f})"
