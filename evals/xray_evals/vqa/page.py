"""The figures of all answerers as data and as a page, side by side."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from xray_training.datasets.pairs import KINDS, Pair

from xray_agent_tools.markdown import table
from xray_evals.vqa.scoring import FEW, Scores, bags_of

PRESENCE_GOAL, LEAD_GOAL = 0.80, 0.20
NOTHING = "none"

_DECIMALS = 6
_NEGATIVES = {
    "there": "it is there",
    "random": "absent, random",
    "popular": "absent, popular",
    "look_alike": "look-alike",
}

Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class VqaResults:
    """Everything that a run of ``xray-eval vqa`` measured.

    Attributes:
        command: how to measure it again.
        commit: of the code that measured it.
        split: of the pairs.
        pairs: that were asked.
        sha256: of the file of pairs.
        taught: training pairs that the baselines learned from.
        detector: the detector that explains and that answers are held against.
        scores: of each answerer, models first.
    """

    command: str
    commit: str
    split: str
    pairs: Sequence[Pair]
    sha256: str
    taught: int
    detector: str
    scores: Sequence[Scores]


def as_data(results: VqaResults) -> Data:
    """Everything that was measured, and with what, ready for JSON: six decimals, and null for what is no number."""
    kinds = Counter(pair.kind for pair in results.pairs)
    data = {
        "command": results.command,
        "commit": results.commit,
        "date": datetime.now(UTC).date().isoformat(),
        "split": results.split,
        "pairs": {
            "sha256": results.sha256,
            "questions": len(results.pairs),
            "bags": len(set(bags_of(results.pairs).tolist())),
            "pictures": len({pair.image for pair in results.pairs}),
            "kinds": {kind: kinds[kind] for kind in KINDS if kinds[kind]},
            "sources": dict(sorted(Counter(pair.source for pair in results.pairs).items())),
            "scanners": sorted({pair.scanner for pair in results.pairs if pair.scanner}),
            "wording": dict(sorted(Counter(pair.wording for pair in results.pairs).items())),
            "taught": results.taught,
        },
        "detector": results.detector,
        "goals": [goal for scores in results.scores if scores.role == "model" for goal in _goals(scores)],
        "answerers": [asdict(scores) for scores in results.scores],
    }
    plain: Data = json.loads(json.dumps(_plain(data)), parse_float=lambda text: round(float(text), _DECIMALS))
    return plain


def _goals(scores: Scores) -> Iterator[Data]:
    if scores.presence is None or scores.lead is None or "presence" not in scores.lead:
        return
    accuracy, lead = scores.kinds["presence"], scores.lead["presence"]
    for what, goal, interval in (
        ("accuracy on presence", PRESENCE_GOAL, (accuracy.value, accuracy.low, accuracy.high)),
        ("the same above the text-only baseline", LEAD_GOAL, tuple(lead)),
    ):
        yield {"model": scores.name, "what": what, "goal": goal, "measured": interval, "met": interval[0] >= goal}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_section(data: Data, *, level: int = 2) -> str:
    """The table that stands on the page of all results, with what it was measured with."""
    parts = [
        f"{'#' * level} Questions and answers",
        *_opening(data),
        *_side_by_side(data),
        *_by(data["answerers"], "presence_scanners", "Presence by scanner", level + 1),
    ]
    return "\n\n".join(parts)


def as_page(data: Data) -> str:
    """Everything in Markdown."""
    answerers: Sequence[Data] = data["answerers"]
    sections = [
        as_section(data, level=1),
        *_presence(answerers),
        *_items(answerers),
        *_grounding(answerers),
        *_claims(answerers),
        *_agreement(answerers, data["detector"]),
        *_by(answerers, "sources", "By source"),
        *_by(answerers, "scanners", "By scanner"),
        *_words(answerers),
        *_failures(answerers),
    ]
    return "\n\n".join(sections) + "\n"


def _opening(data: Data) -> Iterator[str]:
    pairs = data["pairs"]
    origin = ", ".join(f"{source} ({count})" for source, count in pairs["sources"].items())
    yield (
        f"{pairs['questions']} questions about {pairs['pictures']} pictures of {pairs['bags']} bags of the split "
        f"`{data['split']}`: {origin}. A reply is read by fixed rules and held against the annotations; one that cannot "
        "be read, or that never came, counts as wrong and is counted apart as unparsed. Intervals are bootstrap 95 % "
        f"over bags. The text-only baseline and the majority learned from {pairs['taught']} training pairs and see no "
        "picture; the grounded explainer sees the picture through the detector alone."
    )
    yield (
        f"Pairs `{pairs['sha256'][:16]}`, detector {data['detector']}. Command: `{data['command']}`. "
        f"Commit {data['commit']}, {data['date']}."
    )


def _side_by_side(data: Data) -> Iterator[str]:
    answerers: Sequence[Data] = data["answerers"]
    names = [answerer["name"] for answerer in answerers]
    rows: list[list[object]] = [["**mean over the kinds**", "", *(f"**{_i(a['macro'])}**" for a in answerers)]]
    for kind, count in data["pairs"]["kinds"].items():
        rows.append([kind, _support(count), *(_accuracy(a["kinds"][kind]) for a in answerers)])
    rows.append(["unparsed, of all", "", *(_share_unparsed(a) for a in answerers)])
    rows.append(["above text-only", "", *(_lead(a, "macro") for a in answerers)])
    if any(a["lead"] and "presence" in a["lead"] for a in answerers):
        rows.append(["the same on presence", "", *(_lead(a, "presence") for a in answerers)])
    yield table(["accuracy", "questions", *names], rows)
    if any(count < FEW for count in data["pairs"]["kinds"].values()):
        yield f"Kinds marked with * have fewer than {FEW} questions, so their figures say little."
    yield "\n".join(f"- {a['name']}: {a['about']}" for a in answerers)
    if data["goals"]:
        yield table(
            ["model", "goal", "at least", "measured", ""],
            [
                [g["model"], g["what"], _f(g["goal"]), _i(g["measured"]), "met" if g["met"] else "missed"]
                for g in data["goals"]
            ],
        )


def _presence(answerers: Sequence[Data]) -> Iterator[str]:
    judged = [a for a in answerers if a["presence"]]
    if not judged:
        return
    yield "## Presence"
    yield (
        "Of the answer yes. An unparsed reply counts as missed where the item is there, and not as yes where it is not. "
        "Accuracy stands by how the asked label was chosen: one that is there, or an absent one drawn at random, among "
        "the popular ones, or among look-alikes of what is there."
    )
    columns = [name for name in _NEGATIVES if any(name in a["polarity"] for a in judged)]
    yield table(
        ["", "precision", "recall", "F1", "says yes", *(_NEGATIVES[name] for name in columns)],
        [
            [
                a["name"],
                *_rated(a["presence"]),
                _f(a["yes_share"]),
                *(_accuracy(a["polarity"].get(name)) for name in columns),
            ]
            for a in judged
        ],
    )


def _items(answerers: Sequence[Data]) -> Iterator[str]:
    judged = [a for a in answerers if a["items"]]
    if not judged:
        return
    yield "## Items listed"
    yield f"Over the {judged[0]['items']['support']} items that overviews and inventories have to name."
    yield table(["", "precision", "recall", "F1"], [[a["name"], *_rated(a["items"])] for a in judged])


def _grounding(answerers: Sequence[Data]) -> Iterator[str]:
    judged = [a for a in answerers if a["grounding"]]
    if not judged:
        return
    yield "## Grounding"
    yield (
        f"Share of the {judged[0]['grounding']['boxes']} wanted boxes that a box of the reply reaches, each taken once. "
        "Surplus boxes are those beyond the wanted ones, for each question."
    )
    yield table(
        ["", "IoU 0.25", "IoU 0.5", "mean IoU", "surplus"],
        [
            [a["name"], _i(g["at_25"]), _i(g["at_50"]), _f(g["mean_iou"]), _f(g["surplus"])]
            for a in judged
            if (g := a["grounding"])
        ],
    )


def _claims(answerers: Sequence[Data]) -> Iterator[str]:
    judged = [a for a in answerers if a["described"]]
    if not judged:
        return
    yield "## Items made up"
    yield (
        "In overviews and inventories. CHAIR-i is the share of named kinds of item that no annotation of the picture "
        "has, CHAIR-s the share of replies that name one. Sources annotate part of a bag: 'known to be absent' are those "
        "that the question asked about. Unsupported are those that the detector does not list either."
    )
    yield table(
        ["", "replies", "CHAIR-i", "CHAIR-s", "known to be absent", "unsupported", "replies with one"],
        [
            [
                a["name"],
                a["described"],
                *(_f(a["claims"][n]) for n in ("chair_i", "chair_s", "denied", "unsupported", "unsupported_replies")),
            ]
            for a in judged
        ],
    )


def _agreement(answerers: Sequence[Data], detector: str) -> Iterator[str]:
    judged = [a for a in answerers if a["agreement"]]
    if not judged:
        return
    yield "## Agreement with the detector"
    yield (
        f"On {judged[0]['agreement']['questions']} questions about presence of labels that {detector} looks for: how "
        "often an answer says what the detector says at its operating points, right or wrong."
    )
    yield table(
        ["", "agreement", "accuracy on the same"],
        [[a["name"], _accuracy(a["agreement"]), _accuracy(a["assessed"])] for a in judged],
    )


def _by(answerers: Sequence[Data], part: str, title: str, level: int = 2) -> Iterator[str]:
    groups = list(dict.fromkeys(group for a in answerers for group in a[part]))
    if len(groups) < 2:
        return
    yield f"{'#' * level} {title}"
    yield table(
        [title.rpartition(" ")[2], "questions", *(a["name"] for a in answerers)],
        [
            [group, _support(answerers[0][part][group]["questions"]), *(_accuracy(a[part][group]) for a in answerers)]
            for group in groups
        ],
    )


def _words(answerers: Sequence[Data]) -> Iterator[str]:
    yield "## Likeness to the wanted words"
    yield (
        "Secondary: a wrong answer in the usual words scores high. The tokens are our own, so the figures compare with "
        "no others."
    )
    yield table(["", "BLEU", "ROUGE-L"], [[a["name"], _f(a["bleu"]), _f(a["rouge_l"])] for a in answerers])


def _failures(answerers: Sequence[Data]) -> Iterator[str]:
    rows = [[a["name"], _cell(reason), count] for a in answerers for reason, count in a["failed"].items()]
    if rows:
        yield "## Questions without a reply"
        yield table(["", "reason", "questions"], rows)


def _rated(rated: Data) -> list[str]:
    return [_f(rated["precision"]), _f(rated["recall"]), _i(rated["f1"])]


def _lead(answerer: Data, which: str) -> str:
    leads = answerer["lead"]
    return "" if not leads or which not in leads else _i(leads[which], sign="+")


def _share_unparsed(answerer: Data) -> str:
    unparsed = sum(kind["unparsed"] for kind in answerer["kinds"].values())
    return f"{unparsed / sum(kind['questions'] for kind in answerer['kinds'].values()):.3f}"


def _accuracy(accuracy: Data | None) -> str:
    return NOTHING if accuracy is None else _i((accuracy["value"], accuracy["low"], accuracy["high"]))


def _support(count: int) -> str:
    return f"{count}{'*' if count < FEW else ''}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def _f(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _i(value: Sequence[float | None], *, sign: str = "") -> str:
    """A figure with its interval; a figure of nothing is none."""
    if value[0] is None:
        return NOTHING
    shown = [NOTHING if part is None else f"{part:{sign}.3f}" for part in value]
    return f"{shown[0]} ({shown[1]} to {shown[2]})"
