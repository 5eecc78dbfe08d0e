"""Calls of the ``mcp`` 1 client, which knows only the old protocol era."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client


async def converse(server: dict[str, Any], scans: list[str]) -> dict[str, Any]:
    """Call the tool on each scan; the protocol version and the results as they are on the wire."""
    transport = (
        streamable_http_client(server["url"]) if "url" in server else stdio_client(StdioServerParameters(**server))
    )
    async with transport as (read, write, *_), ClientSession(read, write) as session:
        agreed = await session.initialize()
        results = [await session.call_tool("detect_threats", {"scan": scan}) for scan in scans]
        return {
            "protocol": agreed.model_dump(by_alias=True)["protocolVersion"],
            "results": [result.model_dump(mode="json", by_alias=True) for result in results],
        }


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    print(json.dumps(asyncio.run(converse(job["server"], job["scans"]))))
