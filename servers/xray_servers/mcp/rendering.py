"""How an answer or an error goes over the wire.

Some clients show the model only the text, others only the structured content, so both say the same. An answer with a
picture has no structured content, because there are clients that would then drop the picture.
"""

from __future__ import annotations

import base64
import json

from mcp.types import CallToolResult, ImageContent, TextContent

from xray_agent_tools.adapters.calls import error_text
from xray_agent_tools.errors import XrayToolsError
from xray_servers.screening import Answer


def answered(answer: Answer) -> CallToolResult:
    """An answer as the result of a tool call."""
    text = TextContent(type="text", text=answer.text)
    if answer.picture is None:
        return CallToolResult(content=[text], structured_content=json.loads(answer.text))
    data = base64.b64encode(answer.picture).decode("ascii")
    return CallToolResult(content=[ImageContent(type="image", data=data, mime_type="image/jpeg"), text])


def failed(error: XrayToolsError) -> CallToolResult:
    """An error as the result of a tool call: one that the model reads, and cannot take for an empty answer."""
    return CallToolResult(content=[TextContent(type="text", text=error_text(error))], is_error=True)
