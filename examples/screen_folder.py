"""Screen every picture of a folder, print the verdicts and write overlays.

python examples/screen_folder.py examples/scans out/demo
"""

from __future__ import annotations

import sys
from pathlib import Path

from xray_agent_tools import Screener, XrayToolsError
from xray_agent_tools.render import overlay
from xray_agent_tools.scan import load_scan


def main(folder: Path, out: Path) -> int:
    """Screen the folder's PNG files into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    screener = Screener()
    for path in sorted(folder.glob("*.png")):
        try:
            scan = load_scan(path)
            report = screener.detect_threats(scan)
        except XrayToolsError as error:
            print(f"{path.name:28} error     {error}")
            continue
        overlay(scan, report).save(out / path.name)
        found = ", ".join(f"{d.label} {d.confidence:.2f} {d.region}" for d in report.detections) or "-"
        print(f"{path.name:28} {report.verdict:9} {found}")
    print(f"Overlays are in {out}/. These scans are simulated; NO_ALARM never means that a bag is harmless.")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
