"""The chain: each record carries a hash over itself and the hash of the record before it.

Whoever changes, removes, inserts or moves a record breaks the chain there. Whoever writes the whole log anew, or cuts
its end and sets the head back, does not; that is found with an anchor, a head that was noted elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from xray_agent_tools.errors import Misconfigured
from xray_servers.audit.record import COLUMNS, Record

GENESIS = "0" * 64
"""What the first record names as the hash before it."""

_HASHED = tuple(name for name in COLUMNS if name != "hash")


@dataclass(frozen=True, slots=True)
class Anchor:
    """How long the log was at some time, and the hash of its last record then.

    Attributes:
        count: number of records.
        hash: hash of the last one; 64 zeros for an empty log.
    """

    count: int
    hash: str

    def write(self, path: Path) -> None:
        """Note it in a file.

        Raises:
            Misconfigured: the file cannot be written.
        """
        try:
            path.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")
        except OSError as error:
            raise Misconfigured(f"cannot write {path}: {error.strerror}", hint="name another file") from error

    @classmethod
    def read(cls, path: Path) -> Anchor:
        """The anchor that a file holds.

        Raises:
            Misconfigured: the file cannot be read, or holds no anchor.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            anchor = cls(int(content["count"]), str(content["hash"]))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise Misconfigured(
                f"{path} holds no anchor", hint="name a file that `xray-tools audit verify --write-anchor` wrote"
            ) from error
        return anchor


@dataclass(frozen=True, slots=True)
class Break:
    """Where the chain breaks.

    Attributes:
        sequence: place of the first record that is wrong or missing.
        record_id: its identifier, if it is there.
        reason: what is wrong.
    """

    sequence: int
    record_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What a look at the whole chain found.

    Attributes:
        checked: records that are as they were written, counted from the first.
        head: hash of the last of them.
        broken: the first that is not, or None.
    """

    checked: int
    head: str
    broken: Break | None

    @property
    def intact(self) -> bool:
        """Whether the whole log is as it was written."""
        return self.broken is None

    @property
    def anchor(self) -> Anchor:
        """The log as it stands, to be noted elsewhere."""
        return Anchor(self.checked, self.head)


def hash_of(record: Record) -> str:
    """SHA-256 over the canonical JSON of every field but the hash: names sorted, no spaces, ASCII.

    Raises:
        TypeError: a field is of a type that no record has.
    """
    canonical = json.dumps({name: getattr(record, name) for name in _HASHED}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


class Walk:
    """Goes along the chain, from the first record to the last."""

    def __init__(self, anchor: Anchor | None = None) -> None:
        """Begin before the first record."""
        self._anchor = anchor
        self._count = 0
        self._last = GENESIS
        self.broken = self._beside_anchor(None)

    def step(self, record: Record) -> bool:
        """Take the next record; False if the chain breaks there."""
        reason = self._fault(record)
        if reason is None:
            self._count, self._last = record.sequence, record.hash
            self.broken = self._beside_anchor(record.record_id)
        else:
            self.broken = Break(self._count + 1, str(record.record_id), reason)
        return self.broken is None

    def end(self, head: Anchor | None, total: int) -> Verification:
        """Arrive at the end.

        Args:
            head: what the log itself notes as its end.
            total: number of records that the log holds.
        """
        if self.broken is None:
            self.broken = self._fault_at_end(head, total)
        return Verification(self._count, self._last, self.broken)

    def _fault(self, record: Record) -> str | None:
        expected = self._count + 1
        if record.sequence != expected:
            return f"record {expected} is missing; {record.sequence} follows {self._count}"
        if record.previous != self._last:
            return f"record {expected} does not follow the record before it"
        try:
            unchanged = record.hash == hash_of(record)
        except TypeError:
            unchanged = False
        return None if unchanged else f"record {expected} was changed"

    def _beside_anchor(self, record_id: str | None) -> Break | None:
        anchor = self._anchor
        if anchor is None or self._count != anchor.count or self._last == anchor.hash:
            return None
        return Break(self._count, record_id, f"record {self._count} is not the one that the anchor names")

    def _fault_at_end(self, head: Anchor | None, total: int) -> Break | None:
        following = self._count + 1
        if self._anchor is not None and self._anchor.count > self._count:
            return Break(following, None, f"the anchor names {self._anchor.count} records; {self._count} are left")
        if head is None:
            return Break(following, None, "the log's note of its own end is missing")
        if head != Anchor(self._count, self._last):
            return Break(following, None, f"the log notes {head.count} records as its end; {self._count} are left")
        if total != self._count:
            return Break(following, None, f"the log holds {total} records, of which {self._count} are in the chain")
        return None
