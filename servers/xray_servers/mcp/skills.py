"""The skill that teaches an agent to screen a bag well, offered over the protocol itself (SEP-2640)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import yaml
from mcp.server.context import ServerRequestContext
from mcp.server.extension import Extension, MethodBinding, ResourceBinding
from mcp.server.mcpserver.resources import TextResource
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, PaginatedRequestParams, RequestParams

from xray_servers.mcp.install import SKILL_NAME, skill_text

URI = f"skill://xray-agent-tools/{SKILL_NAME}/SKILL.md"

_LASTS = {"ttlMs": 3_600_000, "cacheScope": "public"}


class _Asked(RequestParams):
    uri: str


class Skills(Extension):
    """Lists and serves one skill, with the digest of what is served."""

    identifier = "io.modelcontextprotocol/skills"

    def __init__(self) -> None:
        """Read the skill once."""
        self._text = skill_text()

    def resources(self) -> Sequence[ResourceBinding]:
        """The skill as a resource."""
        resource = TextResource(
            uri=URI,
            name=SKILL_NAME,
            title="How to screen a bag",
            description="Which tool to use when, how to read a verdict, and what to do about errors.",
            mime_type="text/markdown",
            text=self._text,
        )
        return [ResourceBinding(resource)]

    def methods(self) -> Sequence[MethodBinding]:
        """What the extension adds to the protocol."""
        return [
            MethodBinding("skills/list", PaginatedRequestParams, self._list),
            MethodBinding("skills/get", _Asked, self._get),
        ]

    async def _list(self, _: ServerRequestContext[Any, Any], __: PaginatedRequestParams) -> dict[str, Any]:
        return {"skills": [self._entry()], **_LASTS}

    async def _get(self, _: ServerRequestContext[Any, Any], asked: _Asked) -> dict[str, Any]:
        if asked.uri != URI:
            raise MCPError(code=INVALID_PARAMS, message=f"there is no such skill; there is {URI}")
        return {"skill": self._entry(), **_LASTS}

    def _entry(self) -> dict[str, Any]:
        content = self._text.encode()
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        return {
            "uri": URI,
            "frontmatter": yaml.safe_load(self._text.split("---\n")[1]),
            "resources": [{"uri": URI, "digest": digest, "size": len(content)}],
        }
