"""Make the demo scans of ``examples/scans`` again, with their truth.

python examples/make_scans.py examples/scans
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from PIL import Image
from xray_training.simulator.scene import simulate

# name: seed, virtual scanner, threat items packed
RECIPES: dict[str, tuple[int, str, list[str]]] = {
    "bag_1": (7007, "alder", ["gun"]),
    "bag_2": (7106, "cedar", []),
    "bag_3": (7205, "birch", ["handcuffs", "pliers"]),
    "bag_4": (7307, "alder", []),
    "bag_5": (7400, "cedar", ["knife", "hammer"]),
    "bag_6": (7506, "birch", []),
    "bag_7": (7602, "alder", ["wrench"]),
    "bag_8": (7704, "dogwood", []),
}


def main(folder: Path) -> None:
    """Write the pictures and ``truth.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = {}
    for name, (seed, scanner, threats) in RECIPES.items():
        scan = simulate(seed, scanner=scanner, threats=threats)
        Image.fromarray(scan.pixels).save(folder / f"{name}.png", optimize=True)
        objects = [
            {
                "label": o.label,
                "threat": o.threat,
                "box": [round(v, 1) for v in o.box],
                "occlusion": round(o.occlusion, 3),
            }
            for o in scan.objects
        ]
        truth[f"{name}.png"] = {"seed": seed, "scanner": scanner, "threats": threats, "objects": objects}
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
