"""Logs to write to: a SQLite file, and a database of a PostgreSQL server that runs for these tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from xray_servers.audit import AuditLog

from tests.servers.audit.postgres import CannotStart, Postgres, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server; the test is skipped where none can be started."""
    try:
        with running_postgres() as server:
            yield server
    except CannotStart as error:
        pytest.skip(f"PostgreSQL cannot be started: {error}")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new log can be made, in either kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/audit.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def log(url: str) -> Iterator[AuditLog]:
    """A new log."""
    with AuditLog(url) as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a new log can be made, in SQLite."""
    return tmp_path / "audit.db"
