"""Results as a page and as data."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from xray_agent_tools.detector.package import Manifest, Score
from xray_agent_tools.markdown import table
from xray_evals.detector import FALSE_POSITIVE_RATES, ImageScore, SourceScore

_CARD_RATE = 0.1


def as_data(
    manifest: Manifest, backend: str, command: str, sources: Sequence[SourceScore], images: Sequence[ImageScore]
) -> dict[str, Any]:
    """Everything that was measured, and with what."""
    return {
        "model": {"id": manifest.id, "version": manifest.version, "sha256": manifest.sha256, "backend": backend},
        "command": command,
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "sources": [
            {**asdict(s), "map50": s.map50, "map50_95": s.map50_95, "map50_known": s.map50_known} for s in sources
        ],
        "mean_map50": float(np.mean([s.map50 for s in sources])),
        "images": [asdict(image) for image in images],
    }


def as_scores(sources: Sequence[SourceScore], images: Sequence[ImageScore]) -> list[Score]:
    """The figures that a model card quotes."""
    scores = []
    for source in sources:
        scans = f"{source.source}, {source.scans} scans"
        boxes = sum(score.support for score in source.classes)
        scores.append(Score(name="mAP50", value=round(source.map50, 4), scans=scans, support=boxes))
        scores += [
            Score(name=f"AP50 {score.label}", value=round(score.ap50, 4), scans=scans, support=score.support)
            for score in source.classes
            if score.known
        ]
    scores += [
        Score(
            name="TPR per image at FPR 10 % on benign scans",
            value=round(image.at_rate[_CARD_RATE][0], 4),
            scans=image.source,
            support=image.positives,
        )
        for image in images
    ]
    return scores


def as_page(data: dict[str, Any]) -> str:
    """The same in Markdown."""
    model = data["model"]
    sections = [
        "# Results",
        "What a detector does on test scans that nothing was trained or tuned on. Each source counts on the "
        "classes that it annotates; a class that the model does not know counts as zero in mAP50 and is left out of "
        "'known classes'. pycocotools computes every average precision.",
        f"Model `{model['id']} {model['version']}` (network `{model['sha256'][:16]}`, {model['backend']}). "
        f"Command: `{data['command']}`. Commit {data['commit']}, {data['date']}.",
        "## Boxes",
        table(
            ["source", "scans", "mAP50", "mAP50-95", "mAP50, known classes"],
            [
                [s["source"], s["scans"], _f(s["map50"]), _f(s["map50_95"]), _f(s["map50_known"])]
                for s in data["sources"]
            ]
            + [["**mean**", "", f"**{_f(data['mean_map50'])}**", "", ""]],
        ),
        "## Boxes by class",
        table(
            ["source", "class", "boxes", "AP50", "AP50-95"],
            [
                [s["source"], c["label"], c["support"], _f(c["ap50"]) if c["known"] else "not known", _f(c["ap50_95"])]
                for s in data["sources"]
                for c in s["classes"]
            ],
        ),
        "## Alarms per image",
        "An image's score is its most certain detection; the false positive rate is that on the benign test scans. "
        "Intervals are bootstrap 95 %. The last columns are the rates at the model's operating points.",
        table(
            ["source", "threat scans", "benign scans"]
            + [f"TPR at FPR {rate:.0%}" for rate in FALSE_POSITIVE_RATES]
            + ["TPR, operating", "FPR, operating"],
            [
                [
                    i["source"],
                    i["positives"],
                    i["negatives"],
                    *[f"{_f(v[0])} ({_f(v[1])} to {_f(v[2])})" for v in i["at_rate"].values()],
                    _f(i["operating"][0]),
                    _f(i["operating"][1]),
                ]
                for i in data["images"]
            ],
        ),
    ]
    return "\n\n".join(sections) + "\n"


def _f(value: float) -> str:
    return f"{value:.3f}"


def commit() -> str:
    """The commit of this checkout, or "unknown"; "+" marks uncommitted changes to tracked files."""
    folder = Path(__file__).parent
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")
