"""What an agent can read: the taxonomy, the policies, the model card, and the scans it has given."""

from __future__ import annotations

import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from xray_agent_tools.adapters.calls import error_text
from xray_agent_tools.declaration.policy import embedded_policies, load_policy
from xray_agent_tools.detector.package import load_package
from xray_agent_tools.errors import UnknownLabel, UnknownScan, XrayToolsError
from xray_agent_tools.taxonomy import taxonomy
from xray_agent_tools.tools import MOST_DETECTIONS
from xray_servers.access import owner_of
from xray_servers.desk import ScreeningDesk
from xray_servers.screening import Answer, ToolCall
from xray_servers.shelf import is_scan_id

_JSON = "application/json"


def add_resources(server: MCPServer, desk: ScreeningDesk) -> None:
    """Offer every resource on a server."""
    _add_references(server, desk.settings.model)
    _add_scans(server, desk)


def _add_references(server: MCPServer, model: str) -> None:
    @server.resource("xray://taxonomy", title="Taxonomy", mime_type=_JSON)
    def read_taxonomy() -> str:
        """Every canonical label with its group, severity, words and look-alikes."""
        return taxonomy().model_dump_json()

    @server.resource("xray://taxonomy/{label}", title="One label", mime_type=_JSON)
    def read_label(label: str) -> str:
        """One canonical label with its group, severity, words and look-alikes."""
        try:
            return taxonomy().item(label).model_dump_json()
        except UnknownLabel as error:
            raise ResourceNotFoundError(error_text(error)) from error

    @server.resource("xray://policies/{name}", title="Policy", mime_type=_JSON)
    def read_policy(name: str) -> str:
        """The rules of an embedded declaration policy, in the order in which they are tried."""
        if name not in embedded_policies():
            raise ResourceNotFoundError(f"there is no policy {name!r}; there are {', '.join(embedded_policies())}")
        return load_policy(name).model_dump_json()

    @server.resource("xray://model-card", title="Model card", mime_type="text/markdown")
    def read_model_card() -> str:
        """What the detector was trained on, what it can see, and how good it is."""
        try:
            package = load_package(model)
        except XrayToolsError as error:
            raise ResourceError(error_text(error)) from error
        return (package.folder / "CARD.md").read_text(encoding="utf-8")


def _add_scans(server: MCPServer, desk: ScreeningDesk) -> None:
    async def ask(tool: str, **arguments: object) -> Answer:
        try:
            return await desk.ask(ToolCall(tool, arguments, owner_of(get_access_token())))
        except UnknownScan as error:
            raise ResourceNotFoundError(error_text(error)) from error
        except XrayToolsError as error:
            raise ResourceError(error_text(error)) from error

    @server.resource("xray://scans/{scan_id}", title="Scan", mime_type="image/jpeg")
    async def read_scan(scan_id: str) -> bytes:
        """The first view of a scan that is still kept, at most 1568 pixels, without boxes."""
        answer = await ask("view_scan", scan=_checked(scan_id), boxes=False)
        return answer.picture or b""

    @server.resource("xray://scans/{scan_id}/report", title="Report of a scan", mime_type=_JSON)
    async def read_report(scan_id: str) -> str:
        """The threat report of a scan that is still kept."""
        answer = await ask("detect_threats", scan=_checked(scan_id), max_detections=MOST_DETECTIONS, detail="full")
        return answer.text


def _checked(scan_id: str) -> str:
    """A resource names kept scans only; a path or a data URI does not belong into its address."""
    if not is_scan_id(scan_id):
        raise ResourceNotFoundError("that is no scan_id: an answer or an upload gives one")
    return scan_id


async def kept_scans(desk: ScreeningDesk) -> list[str]:
    """Ids of the scans that the caller can name, the latest first."""
    return await anyio.to_thread.run_sync(desk.shelf.listed, owner_of(get_access_token()))
