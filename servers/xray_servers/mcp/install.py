"""Commands that introduce the server to an agent: an entry in its client's configuration, and the skill."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from xray_agent_tools.detector.package import embedded_models, load_package
from xray_agent_tools.errors import XrayToolsError

SKILL_NAME = "screen-xray-bags"
"""Name of the skill and of its folder; the agent skills format wants them equal."""

_TRY_IT = 'then ask: "screen the bag bag_1.png"'


def _application_data() -> Path:
    """Where this system keeps the settings of a user's applications."""
    match platform.system():
        case "Darwin":
            return Path.home() / "Library" / "Application Support"
        case "Windows":
            return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
        case _:
            return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


@dataclass(frozen=True, slots=True)
class _Client:
    """What one client wants to read.

    Attributes:
        title: its name for people.
        files: its configuration file by scope, the default first.
        servers_key: where the file keeps its servers.
        typed: the transports whose entries name their type.
        reference: how a header names a secret, or None if the file takes no remote server.
        asks: whether the client asks its user for the secret and keeps it, rather than reading the environment.
        restart: how it comes to read the file again.
    """

    title: str
    files: Mapping[str, Callable[[], Path]]
    servers_key: str
    typed: frozenset[str]
    reference: str | None
    asks: bool
    restart: str


_CLIENTS = {
    "claude-code": _Client(
        title="Claude Code",
        files={"project": lambda: Path.cwd() / ".mcp.json", "user": lambda: Path.home() / ".claude.json"},
        servers_key="mcpServers",
        typed=frozenset({"stdio", "http"}),
        reference="${%s}",
        asks=False,
        restart="start claude again and allow the server if it asks",
    ),
    "claude-desktop": _Client(
        title="Claude Desktop",
        files={"user": lambda: _application_data() / "Claude" / "claude_desktop_config.json"},
        servers_key="mcpServers",
        typed=frozenset(),
        reference=None,
        asks=False,
        restart="quit Claude Desktop and start it again",
    ),
    "cursor": _Client(
        title="Cursor",
        files={
            "user": lambda: Path.home() / ".cursor" / "mcp.json",
            "project": lambda: Path.cwd() / ".cursor" / "mcp.json",
        },
        servers_key="mcpServers",
        typed=frozenset({"stdio"}),
        reference="${env:%s}",
        asks=False,
        restart="restart Cursor",
    ),
    "vscode": _Client(
        title="VS Code",
        files={
            "project": lambda: Path.cwd() / ".vscode" / "mcp.json",
            "user": lambda: _application_data() / "Code" / "User" / "mcp.json",
        },
        servers_key="servers",
        typed=frozenset({"stdio", "http"}),
        reference="${input:%s}",
        asks=True,
        restart="start the server with MCP: List Servers in the command palette",
    ),
}


def _launcher() -> list[str]:
    """The command that starts the server of this installation, whatever folder and PATH the client has."""
    found = shutil.which("xray-mcp", path=str(Path(sys.executable).parent)) or shutil.which("xray-mcp")
    return [os.path.abspath(found)] if found else [sys.executable, "-m", "xray_servers.mcp"]


def _local_block(client: _Client, name: str, roots: Sequence[Path], model: str | None) -> dict[str, Any]:
    """What to add so that the client starts the server itself."""
    command, *arguments = _launcher()
    for root in roots:
        arguments += ["--root", str(root)]
    if model is not None:
        arguments += ["--model", model]
    kind = {"type": "stdio"} if "stdio" in client.typed else {}
    return {client.servers_key: {name: {**kind, "command": command, "args": arguments}}}


def _remote_block(client: _Client, name: str, url: str, token_env: str | None) -> dict[str, Any]:
    """What to add so that the client calls a server that already runs."""
    if client.reference is None:
        raise click.UsageError(
            f"{client.title}'s configuration file starts local programs only. Leave --url out to run the server on this "
            "computer, or add the address in its settings under Connectors."
        )
    entry: dict[str, Any] = {"type": "http"} if "http" in client.typed else {}
    entry["url"] = url
    block: dict[str, Any] = {client.servers_key: {name: entry}}
    if token_env is not None:
        entry["headers"] = {"Authorization": "Bearer " + client.reference % token_env}
        if client.asks:
            words = f"Token of the X-ray screening server (value of {token_env})"
            question = {"type": "promptString", "id": token_env, "description": words, "password": True}
            block["inputs"] = [question]
    return block


def _text(block: Mapping[str, Any]) -> str:
    return json.dumps(block, indent=2, ensure_ascii=False, allow_nan=False)


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"the number {number} cannot be written again")
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key occurs twice in one object")
    return content


def _parsed(content: bytes) -> dict[str, Any]:
    """Read a configuration that can be written again without losing anything.

    Raises:
        ValueError: it is no such configuration.
    """
    text = content.decode("utf-8-sig")
    if not text.strip():
        return {}
    try:
        document = json.loads(text, object_pairs_hook=_without_repeats, parse_float=_finite, parse_constant=_finite)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not plain JSON, and comments or trailing commas would be lost ({error})") from error
    if not isinstance(document, dict):
        raise ValueError("its content is not an object")
    return document


def _merged(document: Mapping[str, Any], block: Mapping[str, Any], *, force: bool) -> dict[str, Any]:
    """A configuration with a block added to it.

    Raises:
        ValueError: the block does not fit the configuration.
        click.ClickException: the configuration has another entry of that name, and ``force`` is not given.
    """
    merged = dict(document)
    for key, addition in block.items():
        present = document.get(key, type(addition)())
        if not isinstance(present, type(addition)):
            raise ValueError(f"its {key!r} is not {'an object' if isinstance(addition, dict) else 'a list'}")
        if isinstance(addition, list):
            known = [question.get("id") for question in present if isinstance(question, dict)]
            merged[key] = [*present, *(question for question in addition if question["id"] not in known)]
            continue
        for name, entry in addition.items():
            if not force and present.get(name, entry) != entry:
                raise click.ClickException(
                    f"There is another server {name!r} in {key!r}. Replace it with --force, or choose a --name."
                )
        merged[key] = {**present, **addition}
    return merged


def _replace(file: Path, content: bytes) -> bool:
    """Put content into a file all at once, through links, keeping the file before as ``FILE.bak``.

    Returns:
        Whether there was a file before.

    Raises:
        OSError: a file cannot be read or written.
    """
    target = file.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        _write(target, content, mode=None)
        return False
    mode = target.stat().st_mode & 0o7777
    _write(target.with_name(target.name + ".bak"), target.read_bytes(), mode=mode)
    _write(target, content, mode=mode)
    return True


def _write(target: Path, content: bytes, *, mode: int | None) -> None:
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    opener = partial(os.open, mode=0o666 if mode is None else mode)
    try:
        with open(unfinished, "xb", opener=opener) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            unfinished.chmod(mode)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _add(file: Path, block: Mapping[str, Any], *, force: bool) -> str:
    """Add a block to a configuration file and say what was done.

    Raises:
        click.ClickException: the file was left as it was.
    """
    try:
        document = _parsed(file.read_bytes() if file.exists() else b"")
        merged = _merged(document, block, force=force)
        if merged == document:
            return f"Already in {file}."
        # A lone surrogate is the one text that UTF-8 cannot hold; Python's escape for it is JSON's.
        kept = _replace(file, (_text(merged) + "\n").encode("utf-8", "backslashreplace"))
    except (OSError, ValueError, RuntimeError) as error:
        raise click.ClickException(
            f"{file} was left as it is: {error}. Mend it, or add this by hand:\n{_text(block)}"
        ) from error
    return f"Written to {file}" + (f"; the previous version is {file.name}.bak." if kept else ".")


def _check_name(_context: click.Context, _parameter: click.Parameter, name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise click.BadParameter("give 1 to 64 letters, digits, _ and -")
    return name


def _check_model(_context: click.Context, _parameter: click.Parameter, model: str | None) -> str | None:
    if model is None:
        return None
    try:
        load_package(model)
    except XrayToolsError as error:
        raise click.BadParameter(str(error)) from error
    return model if model in embedded_models() else str(Path(model).absolute())


def _check_url(_context: click.Context, _parameter: click.Parameter, url: str | None) -> str | None:
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        complete = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        complete = False
    if not complete:
        raise click.BadParameter("give the whole address, such as http://127.0.0.1:8000/mcp")
    return url


def _check_variable(_context: click.Context, _parameter: click.Parameter, name: str | None) -> str | None:
    if name is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise click.BadParameter("give the name of an environment variable, never the token itself")
    return name


@click.command()
@click.argument("client_name", metavar="CLIENT", type=click.Choice(list(_CLIENTS)))
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that scans may be read from; repeatable. The current folder when not given.",
)
@click.option("--model", callback=_check_model, help="Embedded model package, or a folder.")
@click.option("--name", default="xray", show_default=True, callback=_check_name, help="The server's name there.")
@click.option(
    "--scope",
    type=click.Choice(["project", "user"]),
    help="For this folder or for all of yours; project for Claude Code and VS Code, user for the others when not given.",
)
@click.option("--url", callback=_check_url, help="Address of a server that already runs over HTTP.")
@click.option(
    "--token-env", callback=_check_variable, help="Environment variable with the token for --url; VS Code asks for it."
)
@click.option("--print", "print_only", is_flag=True, help="Show what would be written, and write nothing.")
@click.option("--force", is_flag=True, help="Replace another entry of that name.")
def install(
    client_name: str,
    roots: tuple[Path, ...],
    model: str | None,
    name: str,
    scope: str | None,
    url: str | None,
    token_env: str | None,
    print_only: bool,
    force: bool,
) -> None:
    """Add this server to the configuration of CLIENT: claude-code, claude-desktop, cursor or vscode."""
    client = _CLIENTS[client_name]
    chosen = scope or next(iter(client.files))
    if chosen not in client.files:
        raise click.UsageError(f"{client.title} has one configuration for the user; leave --scope out.")
    if url is None:
        if token_env is not None:
            raise click.UsageError("--token-env is for a server that runs elsewhere: give its --url too.")
        folders = [root.absolute() for root in roots or [Path()]]
        block = _local_block(client, name, folders, model)
        reach = "It may read scans in " + ", ".join(map(str, folders)) + "."
    else:
        if roots or model is not None:
            raise click.UsageError("--root and --model are settings of the server at --url; give them where it starts.")
        block = _remote_block(client, name, url, token_env)
        reach = f"It calls {url}."
    file = client.files[chosen]()
    if print_only:
        click.echo(f"{file}\n{_text(block)}")
        return
    click.echo(f"{_add(file, block, force=force)} {reach}")
    click.echo(f"Next: {client.restart}, {_TRY_IT}.")


def skill_text() -> str:
    """The skill that teaches an agent to screen a bag, as the Markdown of its ``SKILL.md``."""
    return (files("xray_servers.mcp") / "skill" / "SKILL.md").read_text(encoding="utf-8")


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Folder of skills, such as .claude/skills, to write {SKILL_NAME}/SKILL.md into.",
)
def skill(out: Path | None) -> None:
    """Print the skill that teaches an agent to screen a bag well."""
    if out is None:
        click.echo(skill_text(), nl=False)
        return
    file = out / SKILL_NAME / "SKILL.md"
    content = skill_text().encode()
    try:
        if file.exists() and file.read_bytes() == content:
            click.echo(f"Already in {file}.")
            return
        kept = _replace(file, content)
    except (OSError, RuntimeError) as error:
        raise click.ClickException(f"{file} cannot be written: {error}. Choose another --out.") from error
    click.echo(f"Written to {file}" + (f"; the previous version is {file.name}.bak." if kept else "."))
