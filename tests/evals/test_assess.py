from __future__ import annotations

import json
import shutil
from pathlib import Path

from xray_evals.assess import read_scans


def test_benign_scans_are_not_taken_to_be_searched_for_bottles(tiny_dataset: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(tiny_dataset, tmp_path / "data"))
    annotated = json.loads((data / "annotated.json").read_text(encoding="utf-8"))
    with (data / "classes.txt").open("a", encoding="utf-8") as classes:
        classes.write("\nbottle")
    everything = {source: [*labels, "bottle"] for source, labels in annotated.items()}
    (data / "annotated.json").write_text(json.dumps(everything), encoding="utf-8")
    scans = read_scans(data, split="test")
    assert scans.benign
    assert {record.annotated for record in scans.benign} == {frozenset(annotated["benign"])}
    assert all("bottle" in record.annotated for record in scans.groups["simulated"])
