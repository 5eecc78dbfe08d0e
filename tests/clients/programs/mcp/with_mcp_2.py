"""Calls of the ``mcp`` 2 client, which speaks both protocol eras."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from mcp import Client, StdioServerParameters


async def converse(server: dict[str, Any], scans: list[str]) -> dict[str, Any]:
    """Call the tool on each scan; the protocol version and the results as they are on the wire."""
    async with Client(server.get("url") or StdioServerParameters(**server)) as client:
        results = [await client.call_tool("detect_threats", {"scan": scan}) for scan in scans]
        return {
            "protocol": client.protocol_version,
            "results": [result.model_dump(mode="json", by_alias=True) for result in results],
        }


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    print(json.dumps(asyncio.run(converse(job["server"], job["scans"]))))
