"""The log in a SQLite file."""

from __future__ import annotations

import os
import random
import time
from functools import partial
from pathlib import Path
from sqlite3 import OperationalError as SqliteError
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError

from xray_agent_tools.errors import Misconfigured

_PAUSE_S = (0.0005, 0.005)
"""Shortest and longest pause before the next try to get the lock.

SQLite's own waiting grows to a tenth of a second, so that a busy process never lets the others in.
"""


def open_engine(url: URL, *, timeout_s: float, create: bool) -> Engine:
    """An engine for a file that may be new.

    Raises:
        Misconfigured: the URL names no file, or the file is not there and is not to be made.
    """
    if url != URL.create(url.drivername, database=url.database) or not _names_file(url.database):
        raise Misconfigured(
            "an audit log in SQLite is a file", hint="give its path, such as sqlite:////var/lib/xray/audit.db"
        )
    _see_to_file(Path(str(url.database)), create)
    engine = create_engine(
        url, connect_args={"timeout": timeout_s}, pool_size=5, max_overflow=-1, pool_timeout=timeout_s
    )
    event.listen(engine, "connect", partial(_prepare, timeout_s))
    event.listen(engine, "begin", partial(_begin, timeout_s))
    return engine


def lock(connection: Connection, timeout_s: float) -> None:
    """Nothing more to do: the transaction began with the lock."""


def lock_for_creation(connection: Connection) -> None:
    """Nothing more to do: the transaction began with the lock."""


def reading(connection: Connection) -> Connection:
    """A connection whose transaction sees the log at one moment: every transaction does so."""
    return connection


def code_of(error: Any) -> str:
    """SQLite's name of an error."""
    return str(getattr(error, "sqlite_errorname", ""))


def _names_file(database: str | None) -> bool:
    return bool(database) and database != ":memory:" and not str(database).startswith("file:")


def _see_to_file(path: Path, create: bool) -> None:
    """Make the file if it is to be made: for its owner's eyes only."""
    try:
        if create:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        elif not path.is_file():
            raise FileNotFoundError(2, "there is no such file")
    except OSError as error:
        raise Misconfigured(
            f"the audit log cannot be opened at {path}: {error.strerror}",
            hint="name a file in a folder that exists and that may be written to",
        ) from error


def _prepare(timeout_s: float, connection: Any, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event says how transactions begin.
    # A text that was tampered with may be no UTF-8; it has to be readable to be found.
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
    _use_write_ahead_log(connection, time.monotonic() + timeout_s)
    connection.execute("PRAGMA synchronous=FULL")


def _use_write_ahead_log(connection: Any, deadline: float) -> None:
    """Change the journal's mode, which SQLite refuses at once where another process does the same."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except SqliteError as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(*_PAUSE_S))


def _begin(timeout_s: float, connection: Connection) -> None:
    if not connection.get_execution_options().get("appends"):
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql("PRAGMA busy_timeout=0")
    try:
        _begin_with_lock(connection, time.monotonic() + timeout_s)
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={round(timeout_s * 1000)}")


def _begin_with_lock(connection: Connection, deadline: float) -> None:
    while True:
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            return
        except OperationalError as error:
            if not _is_busy(error.orig) or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(*_PAUSE_S))


def _is_busy(error: Any) -> bool:
    return code_of(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
