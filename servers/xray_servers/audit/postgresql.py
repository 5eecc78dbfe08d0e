"""The log in a PostgreSQL database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, func, select
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from xray_agent_tools.errors import Misconfigured
from xray_servers.audit.tables import head

_CREATION_LOCK = 0x58524159
"""Key of the advisory lock under which tables are made: ``XRAY``."""


def open_engine(url: URL, *, timeout_s: float, create: bool) -> Engine:
    """An engine for a database, which has to be there.

    Raises:
        Misconfigured: the driver is not installed, or the URL cannot be used.
    """
    limits = {"connect_timeout": max(2, round(timeout_s)), "tcp_user_timeout": round(timeout_s * 1000)}
    try:
        return create_engine(
            url.set(drivername="postgresql+psycopg"),
            # Whoever waited for the lock has to see what was appended meanwhile, whatever the server's default.
            isolation_level="READ COMMITTED",
            connect_args=limits,
            pool_pre_ping=True,
            pool_timeout=timeout_s,
        )
    except ImportError as error:
        raise Misconfigured(
            "the driver for PostgreSQL is not installed", hint="pip install 'psycopg[binary]'"
        ) from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise Misconfigured(
            "the audit database's URL cannot be used", hint="give postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from error


def lock(connection: Connection, timeout_s: float) -> None:
    """Wait until nobody else appends, and have this transaction end soon and on disk.

    The settings are those of the transaction, so that they hold behind a connection pooler as well.
    """
    timeout = str(round(timeout_s * 1000))
    settings = {
        "synchronous_commit": "on",
        "lock_timeout": timeout,
        "statement_timeout": timeout,
        "idle_in_transaction_session_timeout": timeout,
    }
    connection.execute(select(*(func.set_config(name, value, True) for name, value in settings.items())))
    connection.execute(select(head.c.id).with_for_update())


def lock_for_creation(connection: Connection) -> None:
    """Wait until nobody else makes the tables."""
    connection.execute(select(func.pg_advisory_xact_lock(_CREATION_LOCK)))


def reading(connection: Connection) -> Connection:
    """A connection whose transaction sees the log at one moment."""
    return connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def code_of(error: Any) -> str:
    """PostgreSQL's code of an error, empty if the server did not send one."""
    return str(getattr(error, "sqlstate", None) or "")
