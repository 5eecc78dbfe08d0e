"""Screen a bag through the MCP server, as any agent does, and see the picture that it would see.

python examples/mcp_client.py examples/scans bag_1.png alarm.jpg
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import ImageContent

SERVER = str(Path(sys.executable).with_name("xray-mcp"))


async def screen(folder: Path, scan: str, picture: Path) -> dict[str, Any]:
    """Detect threats on a scan in a folder, and save its overlay."""
    async with Client(StdioServerParameters(command=SERVER, args=["--root", str(folder)])) as client:
        answer = await client.call_tool("detect_threats", {"scan": scan})
        if answer.is_error or answer.structured_content is None:
            raise SystemExit(f"the scan could not be looked at: {answer.content}")
        seen = await client.call_tool("view_scan", {"scan": answer.structured_content["scan_id"]})
    for block in seen.content:
        if isinstance(block, ImageContent):
            picture.write_bytes(base64.b64decode(block.data))
    return dict(answer.structured_content)


if __name__ == "__main__":
    report = anyio.run(screen, Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    print(report["verdict"], [(item["id"], item["label"], item["box"]) for item in report["detections"]])
