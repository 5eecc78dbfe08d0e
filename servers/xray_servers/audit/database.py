"""The database of a log: how it is opened, how its transactions run, and what its errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from sqlalchemy import URL, Connection, Engine, insert, inspect, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from xray_agent_tools.errors import AuditUnavailable, Misconfigured, RecordUncertain, StorageFull, XrayToolsError
from xray_servers.audit import postgresql, sqlite
from xray_servers.audit.chain import GENESIS
from xray_servers.audit.tables import VERSION, head, metadata, records


class Dialect(Protocol):
    """What the databases do in different ways."""

    def open_engine(self, url: URL, *, timeout_s: float, create: bool) -> Engine:
        """An engine for the URL; a missing SQLite file is made if asked for."""

    def lock(self, connection: Connection, timeout_s: float) -> None:
        """Wait until nobody else appends."""

    def lock_for_creation(self, connection: Connection) -> None:
        """Wait until nobody else makes the tables."""

    def reading(self, connection: Connection) -> Connection:
        """A connection whose transaction sees the log at one moment."""

    def code_of(self, error: Any) -> str:
        """The database's code of an error."""


_DIALECTS: dict[str, Dialect] = {"sqlite": sqlite, "postgresql": postgresql, "postgres": postgresql}
_DRIVERS = frozenset({"", "pysqlite", "psycopg"})

_FULL = frozenset({"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "53100"})
_LOCKED = frozenset({"SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT", "SQLITE_BUSY_RECOVERY", "SQLITE_LOCKED", "55P03", "57014"})


class Database:
    """An open database with the log's tables in it."""

    def __init__(self, url: str, *, timeout_s: float, create: bool) -> None:
        """Open it, and make the tables in a new one.

        Args:
            url: URL, or the path of a SQLite file.
            timeout_s: seconds that one step may take.
            create: make what is missing.

        Raises:
            Misconfigured: the URL is bad, nothing answers there, or what is there is no log of this version.
            StorageFull: there is no room for the tables.
        """
        address = _address(url)
        self._dialect = _DIALECTS[address.get_backend_name()]
        self._timeout_s = timeout_s
        self._engine = self._dialect.open_engine(address, timeout_s=timeout_s, create=create)
        try:
            self._make_ready(create)
        except AuditUnavailable as error:
            self.close()
            raise Misconfigured(
                error.message, hint="see that the database runs, may be written to, and is the right one"
            ) from error
        except XrayToolsError:
            self.close()
            raise

    @contextmanager
    def appending(self) -> Iterator[Connection]:
        """A transaction in which nobody else appends; durable once the block is left without an error.

        Raises:
            StorageFull: the disk is full; nothing was written.
            RecordUncertain: the database was lost while it committed.
            AuditUnavailable: the database does not answer, or is locked for too long; nothing was written.
        """
        with self._explained(), self._engine.connect() as connection:
            transaction = connection.execution_options(appends=True).begin()
            with transaction:
                self._dialect.lock(connection, self._timeout_s)
                yield connection
                with self._explained(committing=True):
                    transaction.commit()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees the log at one moment.

        Raises:
            AuditUnavailable: the database does not answer.
        """
        with self._explained(), self._engine.connect() as connection, self._dialect.reading(connection).begin():
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _make_ready(self, create: bool) -> None:
        with self.reading() as connection:
            ready = _has_log(connection)
        if not ready:
            if not create:
                raise Misconfigured("there is no audit log in that database", hint="name the database of the server")
            self._make_tables()
        with self.reading() as connection:
            version = connection.execute(select(head.c.version)).scalar()
        if version != VERSION:
            raise Misconfigured(
                f"the audit log is of version {version}, this program's of version {VERSION}",
                hint="use the release that wrote it, or begin a new log in another database",
            )

    def _make_tables(self) -> None:
        engine = self._engine.execution_options(appends=True)
        with self._explained(), engine.begin() as connection:
            self._dialect.lock_for_creation(connection)
            if not _has_log(connection):
                metadata.create_all(connection)
                connection.execute(insert(head), {"id": 1, "version": VERSION, "length": 0, "hash": GENESIS})

    @contextmanager
    def _explained(self, *, committing: bool = False) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise self._meaning(error, committing) from error

    def _meaning(self, error: SQLAlchemyError, committing: bool) -> XrayToolsError:
        cause = error.orig if isinstance(error, DBAPIError) else error
        code = self._dialect.code_of(cause)
        if code in _FULL:
            return StorageFull("there is no room for the audit log", hint="tell the operator that the disk is full")
        if committing:
            return RecordUncertain(
                "the audit database was lost while it recorded", hint="try again with the same request id"
            )
        if code in _LOCKED:
            return AuditUnavailable(
                f"the audit database was locked for longer than {self._timeout_s:g} s",
                hint="try again; the operator may look for a program that holds it",
            )
        said = str(cause).strip().partition("\n")[0] or type(cause).__name__
        return AuditUnavailable(f"the audit database does not answer: {said}", hint="try again, or tell the operator")


def _address(url: str) -> URL:
    if "://" not in url:
        return URL.create("sqlite", database=url)
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        address = URL.create("unreadable")
    backend, _, driver = address.drivername.partition("+")
    if backend not in _DIALECTS or driver not in _DRIVERS:
        raise Misconfigured(
            "the audit database's URL cannot be used",
            hint="give a file's path, sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE",
        )
    return address


def _has_log(connection: Connection) -> bool:
    """Whether both tables are there.

    Raises:
        Misconfigured: only one of them is.
    """
    tables = inspect(connection)
    there = {tables.has_table(table.name) for table in (records, head)}
    if len(there) > 1:
        raise Misconfigured("one of the audit log's two tables is missing", hint="restore the database from a backup")
    return there.pop()
