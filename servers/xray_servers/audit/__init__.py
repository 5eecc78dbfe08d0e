"""The audit log: each decision is on record, for good, before anybody hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xray_agent_tools.errors import AuditUnavailable, BagConflict, BrokenChain, RecordUncertain, UnknownRecord
from xray_servers.audit.chain import Anchor, Break, Verification
from xray_servers.audit.record import Entry, FeedbackKind, Record

if TYPE_CHECKING:
    from xray_servers.audit.log import AuditLog

__all__ = [
    "Anchor",
    "AuditLog",
    "AuditUnavailable",
    "BagConflict",
    "Break",
    "BrokenChain",
    "Entry",
    "FeedbackKind",
    "Record",
    "RecordUncertain",
    "UnknownRecord",
    "Verification",
]


def __getattr__(name: str) -> Any:
    """Load the log, and SQLAlchemy with it, only when it is asked for."""
    if name == "AuditLog":
        from xray_servers.audit.log import AuditLog

        return AuditLog
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
