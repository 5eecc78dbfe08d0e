"""A server whose answer says something different in each of its halves, to see which of them a model gets."""

from __future__ import annotations

from typing import Annotated, Literal

from mcp.server import MCPServer
from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel

server = MCPServer("halves", version="1")


class Half(BaseModel):
    """Which half of the answer this is."""

    half: Literal["content", "structured"]


@server.tool(description="Names the half of the answer that is shown.")
def detect_threats(scan: str) -> Annotated[CallToolResult, Half]:
    """Answer in both halves, whatever the scan."""
    content, structured = Half(half="content"), Half(half="structured")
    return CallToolResult(
        content=[TextContent(text=content.model_dump_json())], structured_content=structured.model_dump()
    )


if __name__ == "__main__":
    server.run("stdio")
