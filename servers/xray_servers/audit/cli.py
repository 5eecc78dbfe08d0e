"""xray-tools audit: look after a server's audit log."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xray_agent_tools.errors import Misconfigured, XrayToolsError, outcome_of
from xray_agent_tools.progress import heard_by
from xray_servers.audit.chain import Anchor
from xray_servers.audit.record import Record

if TYPE_CHECKING:
    from xray_servers.audit.log import AuditLog

_database_option = click.option(
    "--database",
    envvar="XRAY_AUDIT_URL",
    required=True,
    metavar="PATH|URL",
    help="The log: a SQLite file, or postgresql://...; XRAY_AUDIT_URL names it as well.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON, one object a line.")
_DAY = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]
_since_option = click.option("--since", type=click.DateTime(_DAY), help="Recorded at this time or later, UTC.")
_until_option = click.option("--until", type=click.DateTime(_DAY), help="Recorded before this time, UTC.")
_file = click.Path(path_type=Path, dir_okay=False)


@click.group()
def audit() -> None:
    """Look after a server's audit log."""


@audit.command()
@_database_option
@click.option("--anchor", type=_file, help="File with an earlier end of the log; finds one that was cut or rewritten.")
@click.option("--write-anchor", type=_file, help="Where to note the log's end, if it is intact. Keep it elsewhere.")
@_json_option
def verify(database: str, anchor: Path | None, write_anchor: Path | None, as_json: bool) -> None:
    """Check that no record was changed, removed, inserted or moved.

    Exits with 0 if the log is as it was written, and with 1 if not.
    """
    with _errors_reported(as_json), _opened(database) as log, _steps_shown(as_json):
        found = log.verify(anchor=None if anchor is None else Anchor.read(anchor))
        if found.intact and write_anchor is not None:
            found.anchor.write(write_anchor)
    if as_json:
        click.echo(json.dumps({"intact": found.intact, **asdict(found)}))
    elif found.broken is None:
        click.echo(f"intact: {found.checked} records, the last with hash {found.head}")
    else:
        click.echo(f"BROKEN at record {found.broken.sequence}: {found.broken.reason}")
        click.echo(f"  the {found.checked} records before it are as they were written")
    sys.exit(0 if found.intact else 1)


@audit.command()
@click.argument("record_id", required=False)
@_database_option
@_since_option
@_until_option
@click.option("--owner", help="Only what this owner asked or said.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@_json_option
def show(
    record_id: str | None,
    database: str,
    since: datetime | None,
    until: datetime | None,
    owner: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show RECORD_ID and what was said of it, or the latest records.

    The newest comes first; with --since, the first ones from then on, in their order.
    """
    with _errors_reported(as_json), _opened(database) as log:
        if record_id is not None:
            shown = [log.get(record_id), *log.replies([record_id])]
        else:
            chosen = log.records(
                since=_in_utc(since), until=_in_utc(until), owner=owner, limit=limit, newest_first=since is None
            )
            shown = list(chosen)
        for record in shown:
            _show(record, as_json, whole=record_id is not None)


@audit.command()
@click.argument("record_id")
@click.argument("kind", type=click.Choice(["confirmed", "false-alarm", "missed"]))
@_database_option
@click.option("--label", "labels", multiple=True, help="What it is about, by its canonical label; repeatable.")
@click.option("--note", help="In your words; it is kept for good.")
@click.option("--by", "owner", default=getpass.getuser, show_default="your user name", help="Who says so.")
@_json_option
def feedback(
    record_id: str, kind: Any, database: str, labels: tuple[str, ...], note: str | None, owner: str, as_json: bool
) -> None:
    """Record what became of the decision RECORD_ID.

    confirmed: it was right. false-alarm: nothing was there. missed: something was there that it did not see.
    """
    with _errors_reported(as_json), _opened(database) as log:
        record = log.feedback(record_id, kind.replace("-", "_"), owner=owner, note=note, labels=labels)
    _show(record, as_json, whole=False)


@audit.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@_database_option
@_since_option
@_until_option
@_json_option
def export(folder: Path, database: str, since: datetime | None, until: datetime | None, as_json: bool) -> None:
    """Write decisions.parquet and detections.parquet into FOLDER.

    The chain is verified first: nothing is exported from a log that was changed.
    """
    with _errors_reported(as_json), _opened(database) as log, _steps_shown(as_json):
        count = log.export(folder, since=_in_utc(since), until=_in_utc(until))
    click.echo(json.dumps({"folder": str(folder), "decisions": count}) if as_json else f"{count} decisions in {folder}")


@contextmanager
def _errors_reported(as_json: bool) -> Iterator[None]:
    try:
        yield
    except XrayToolsError as error:
        if as_json:
            click.echo(json.dumps(error.as_dict(), separators=(",", ":")))
        else:
            click.echo(f"error: {error.message}\n  hint: {error.hint}", err=True)
        sys.exit(1 if error.code == "broken_chain" else outcome_of(error).exit_code)


@contextmanager
def _opened(database: str) -> Iterator[AuditLog]:
    try:
        from xray_servers.audit.log import AuditLog
    except ImportError as error:
        raise Misconfigured(
            "the audit log needs SQLAlchemy, which is not installed", hint="pip install 'xray-agent-tools[serve]'"
        ) from error
    with AuditLog(database, create=False) as log:
        yield log


@contextmanager
def _steps_shown(as_json: bool) -> Iterator[None]:
    """Show each step to whoever sits at a terminal."""
    if as_json or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status("opening") as status, heard_by(status.update):
        yield


def _show(record: Record, as_json: bool, *, whole: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(record)))
        return
    said = " ".join(filter(None, [record.outcome or record.statement, record.error_code, record.labels, record.note]))
    about = f" about {record.about}" if record.about else ""
    line = f"{record.sequence}  {record.time[:19]}Z  {record.owner or '-'}  {record.operation}{about}: {said}"
    click.echo(_printable(line))
    if whole and record.answer is not None:
        click.echo(json.dumps(json.loads(record.answer), indent=2))
    elif record.kind == "decision":
        click.echo(_printable(f"    {record.record_id}" + (f"  bag {record.bag}" if record.bag else "")))


def _printable(text: str) -> str:
    """A text without what steers a terminal: callers choose names and notes."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _in_utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.replace(tzinfo=UTC)
