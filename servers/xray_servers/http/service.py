"""What the routes work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xray_servers.audit import AuditLog
from xray_servers.desk import ScreeningDesk
from xray_servers.http.decisions import Decisions
from xray_servers.http.metrics import Metrics
from xray_servers.http.openai.conversation import ChatModel


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that a route may need.

    Attributes:
        desk: has scans looked at.
        decisions: makes decisions and records them.
        audit: the record.
        metrics: what is counted.
        models: what chats, by name.
    """

    desk: ScreeningDesk
    decisions: Decisions
    audit: AuditLog
    metrics: Metrics
    models: Mapping[str, ChatModel]
