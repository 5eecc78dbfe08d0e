"""What can go wrong, said so that the caller knows what to do next.

Every error carries a stable ``code`` and a ``hint``. :data:`TABLE` is the only place that gives an error
its command-line exit code and its HTTP status.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar


class XrayToolsError(Exception):
    """Base of every error that the tools raise on purpose.

    Attributes:
        code: stable, machine-readable name of the error.
        message: what went wrong.
        hint: what the caller can do next.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})"

    def __reduce__(self) -> tuple[Callable[[], XrayToolsError], tuple[()]]:
        return partial(type(self), **self._fields), ()

    @property
    def _fields(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """The error as every interface sends it: code, message, hint and what else its kind carries."""
        return {"error": {"code": self.code, **self._fields}}


class InvalidScan(XrayToolsError):
    """The scan cannot be read, or is no picture of a kind that scanners write."""

    code = "invalid_scan"


class ScanNotFound(InvalidScan):
    """There is no file of that name, and the text is no picture either."""


class ScanTooLarge(XrayToolsError):
    """The scan exceeds the limit on bytes, pixels or views."""

    code = "scan_too_large"


class AccessDenied(XrayToolsError):
    """The scan lies where the tools may not look."""

    code = "access_denied"


class UnknownScan(XrayToolsError):
    """No scan is kept under this ``scan_id``: it expired, or was never given."""

    code = "unknown_scan"


class UnknownLabel(XrayToolsError):
    """A label is not in the taxonomy."""

    code = "unknown_label"


class InvalidArgument(XrayToolsError):
    """An argument other than the scan is out of its range or of the wrong type."""

    code = "invalid_argument"


class InvalidDeclaration(XrayToolsError):
    """The declaration is not a list of short texts."""

    code = "invalid_declaration"


class InvalidPolicy(XrayToolsError):
    """A policy is not there, or breaks the rules for policies."""

    code = "invalid_policy"


class ModelUnavailable(XrayToolsError):
    """The detector cannot be loaded, is not what its manifest says, or failed while it looked."""

    code = "model_unavailable"


class ExplainerUnavailable(XrayToolsError):
    """The configured explainer cannot be reached, or its endpoint fails."""

    code = "explainer_unavailable"


class Overloaded(XrayToolsError):
    """Too much work is waiting. ``retry_after`` is in seconds."""

    code = "overloaded"

    def __init__(self, message: str, *, hint: str, retry_after: float) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class TimedOut(XrayToolsError):
    """The work was not finished in the time that the operator allows."""

    code = "timed_out"


class WorkerLost(XrayToolsError):
    """The process that looked at the scan died."""

    code = "worker_lost"


class StorageFull(XrayToolsError):
    """There is no room to keep the scan."""

    code = "storage_full"


class Misconfigured(XrayToolsError):
    """The installation or its settings are wrong; the caller of a tool cannot mend it."""

    code = "misconfigured"


class InternalError(XrayToolsError):
    """The tools failed in a way that nobody foresaw; it says nothing about the scan."""

    code = "internal_error"


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


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an interface reports an error: process exit code, HTTP status, and whether trying again may help."""

    exit_code: int
    http_status: int
    retryable: bool = False


TABLE: dict[type[XrayToolsError], Outcome] = {
    InvalidScan: Outcome(3, 400),
    ScanTooLarge: Outcome(4, 413),
    AccessDenied: Outcome(5, 403),
    UnknownLabel: Outcome(6, 400),
    InvalidArgument: Outcome(2, 400),
    InvalidDeclaration: Outcome(7, 400),
    InvalidPolicy: Outcome(8, 400),
    ModelUnavailable: Outcome(20, 503),
    ExplainerUnavailable: Outcome(21, 502, retryable=True),
    Overloaded: Outcome(22, 429, retryable=True),
    Misconfigured: Outcome(23, 500),
    UnknownScan: Outcome(24, 404),
    TimedOut: Outcome(25, 504, retryable=True),
    WorkerLost: Outcome(26, 503, retryable=True),
    StorageFull: Outcome(27, 507, retryable=True),
    InternalError: Outcome(28, 500),
    BagConflict: Outcome(29, 409),
    UnknownRecord: Outcome(30, 404),
    AuditUnavailable: Outcome(31, 503, retryable=True),
    RecordUncertain: Outcome(32, 503, retryable=True),
    BrokenChain: Outcome(33, 500),
}
"""Every error's outcome. 0, 10 and 11 are the exit codes of the verdicts, 2 of bad usage."""


def outcome_of(error: XrayToolsError) -> Outcome:
    """The outcome of an error, by the nearest class in :data:`TABLE`."""
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    return Outcome(23, 500)
