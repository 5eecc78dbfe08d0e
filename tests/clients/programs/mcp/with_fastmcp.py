"""Calls of the FastMCP 4 client."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from fastmcp import Client
from fastmcp.client.transports import StdioTransport


async def converse(server: dict[str, Any], scans: list[str]) -> dict[str, Any]:
    """Call the tool on each scan; the protocol version and the results, named as on the wire."""
    async with Client(server.get("url") or StdioTransport(**server)) as client:
        results = [await client.call_tool("detect_threats", {"scan": scan}, raise_on_error=False) for scan in scans]
        return {
            "protocol": client.protocol_version,
            "results": [
                {
                    "content": [block.model_dump(mode="json", by_alias=True) for block in result.content],
                    "structuredContent": result.structured_content,
                    "isError": result.is_error,
                }
                for result in results
            ],
        }


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    print(json.dumps(asyncio.run(converse(job["server"], job["scans"]))))
