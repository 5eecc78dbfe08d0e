"""What can go wrong with the audit log."""

from __future__ import annotations

from xray_agent_tools.errors import InvalidArgument, XrayToolsError


class BagConflict(InvalidArgument):
    """The bag, or the request id, already names another request of the same owner. Nothing was recorded."""

    code = "conflict"


class UnknownRecord(InvalidArgument):
    """There is no decision of that identifier. Nothing was recorded."""

    code = "unknown_record"


class AuditUnavailable(XrayToolsError):
    """The audit database does not answer. Nothing was recorded; trying again may help."""

    code = "audit_unavailable"


class RecordUncertain(AuditUnavailable):
    """The database was lost while it committed: the record may be there or not.

    Recording again under the same request id is safe: it gives the first record if there is one.
    """

    code = "audit_uncertain"


class BrokenChain(XrayToolsError):
    """The log was changed after it was written, so nothing is built on it."""

    code = "broken_chain"
