"""A systemd unit that runs an engine, and checks it once it answers."""

from __future__ import annotations

from collections.abc import Sequence

from xray_agent_tools.errors import Misconfigured
from xray_servers.vlm.command import Command

_KEY_FILE = "/etc/xray-agent-tools/vlm.env"


def unit_of(command: Command, check: Sequence[str], *, wait_s: float) -> str:
    """The text of a unit.

    Args:
        command: what it runs.
        check: what is run once it has started; the unit fails if this does.
        wait_s: seconds until it must answer.

    Raises:
        Misconfigured: an argument cannot be written into a unit.
    """
    environment = [f"Environment={_quoted(f'{name}={value}')}" for name, value in command.environment.items()]
    keys = [f"# {command.key_variable}, its key, and XRAY_VLM_KEY, the same for the check, are read from:"]
    keys.append(f"EnvironmentFile=-{_KEY_FILE}")
    lines = [
        "[Unit]",
        "Description=Vision-language model for xray-agent-tools",
        "After=network.target",
        "",
        "[Service]",
        "Type=exec",
        *environment,
        *(keys if command.key_variable else []),
        f"ExecStart={_command_line(command.arguments)}",
        f"ExecStartPost={_command_line(check)}",
        f"TimeoutStartSec={wait_s + 300:.0f}",
        "Restart=on-failure",
        "RestartSec=10",
        "NoNewPrivileges=yes",
        "PrivateTmp=yes",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def _command_line(arguments: Sequence[str]) -> str:
    program, *others = arguments
    if not program.startswith("/"):
        raise Misconfigured(f"{program} is no absolute path, which a unit needs", hint="name the program with its path")
    return " ".join([_quoted(program), *(_quoted(argument).replace("$", "$$") for argument in others)])


def _quoted(text: str) -> str:
    """A word as systemd reads it back."""
    if any(not character.isprintable() for character in text):
        raise Misconfigured(f"{text!r} cannot be written into a unit", hint="leave control characters out")
    escaped = text.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if escaped != text or not text or set(text) & set(" '\t;") else escaped
