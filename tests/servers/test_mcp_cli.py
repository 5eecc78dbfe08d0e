"""The command says what it does, refuses what contradicts itself, and makes the tokens that open it."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
from pathlib import Path

import anyio
import click
import httpx2
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from xray_servers.mcp.cli import main

from tests.conftest import ROOT
from tests.servers.running import COMMAND, PATIENCE_S, serving
from xray_agent_tools import __version__
from xray_agent_tools.declaration.policy import load_policy

SCANS = ROOT / "examples" / "scans"
MISCONFIGURED = 23
INVALID_POLICY = 8


def tried(*options: str) -> subprocess.CompletedProcess[str]:
    """Start the command, which comes to an end by itself."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("XRAY_")}
    return subprocess.run(
        [COMMAND, *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=plain,
        check=False,
    )


def status(origin: str, token: str | None = None, **headers: str) -> int:
    """How a server answers somebody who asks for its uploads: 405 to whom it knows, because they know no GET."""
    sent = headers if token is None else {"Authorization": f"Bearer {token}", **headers}
    return httpx2.get(f"{origin}/scans", headers=sent, timeout=PATIENCE_S).status_code


def token_in(output: str) -> str:
    found = re.search(r"^token: (\S+)$", output, re.MULTILINE)
    assert found is not None, output
    return found[1]


# What it says of itself


@pytest.mark.parametrize("command", [main, *main.commands.values()], ids=lambda command: str(command.name))
def test_every_option_and_every_command_is_explained(command: click.Command) -> None:
    context = click.Context(command, info_name="xray-mcp")
    assert command.help
    shown = command.get_help(context)
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert max(parameter.opts, key=len) in shown


def test_the_help_names_every_command() -> None:
    shown = CliRunner().invoke(main, ["--help"])
    assert shown.exit_code == 0
    for name in ("install", "skill", "token"):
        assert re.search(rf"^  {name} +[A-Z]", shown.stdout, re.MULTILINE)


def test_the_version_is_that_of_the_tools() -> None:
    shown = CliRunner().invoke(main, ["--version"])
    assert shown.exit_code == 0
    assert __version__ in shown.stdout


# What contradicts itself


@pytest.mark.parametrize(
    ("options", "says", "hint"),
    [
        (["--http", "--jwt-issuer", "https://id.example"], "--jwt-issuer needs --jwt-keys", "all three"),
        (["--http", "--jwt-keys", "jwks.json"], "--jwt-keys without --jwt-issuer", "give both"),
        (["--http", "--resource-url", "https://xray.example/mcp"], "--resource-url says nothing", "--token-file"),
        (["--http", "--scope", "screen"], "--scope without tokens", "--token-file or --jwt-issuer"),
        (["--vlm-url", "http://127.0.0.1:1/v1"], "--vlm-url and --vlm-model go together", "give both"),
        (["--http", "--host", "0.0.0.0"], "0.0.0.0 can be reached from other machines", "--token-file"),
        (["--http", "--host", "::"], ":: can be reached from other machines", "127.0.0.1"),
        (["--http", "--host", ""], "can be reached from other machines", "127.0.0.1"),
        (["--http", "--token-file", "/nowhere/tokens"], "/nowhere/tokens cannot be read", "UTF-8 text file"),
        (["--shelf", "/proc/nowhere"], "scans cannot be kept in /proc/nowhere", "--shelf"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_contradicts_itself_is_refused_with_the_next_step(options: list[str], says: str, hint: str) -> None:
    result = tried(*options)
    assert result.returncode == MISCONFIGURED
    assert result.stdout == ""
    error, _, next_step = result.stderr.partition("\n  hint: ")
    assert error.startswith("error: ")
    assert says in error
    assert hint in next_step
    assert "Traceback" not in result.stderr


def test_tokens_that_would_keep_nobody_out_of_standard_input_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    assert CliRunner().invoke(main, ["token", "lane-3", "--file", str(file)]).exit_code == 0
    result = tried("--token-file", str(file))
    assert result.returncode == MISCONFIGURED
    assert "--http" in result.stderr


def test_addresses_that_are_no_urls_are_refused(tmp_path: Path) -> None:
    keys = tmp_path / "jwks.json"
    keys.write_text(
        '{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "one", "alg": "EdDSA",'
        ' "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
    )
    good = {"--jwt-issuer": "https://id.example", "--resource-url": "https://xray.example/mcp"}
    for option in good:
        chosen = good | {option: "nowhere"}
        result = tried("--http", "--jwt-keys", str(keys), *(part for pair in chosen.items() for part in pair))
        assert result.returncode == MISCONFIGURED
        assert f"{option} 'nowhere' is no URL" in result.stderr
        assert "Traceback" not in result.stderr


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = tried("--http", "--port", str(port))
    assert result.returncode == MISCONFIGURED
    assert f"127.0.0.1:{port}" in result.stderr
    assert "another --port" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_policy_that_is_not_there_is_named_at_the_start(tmp_path: Path) -> None:
    for policy in ("custom", str(tmp_path / "gone.yaml")):
        result = tried("--policy", policy)
        assert result.returncode in {INVALID_POLICY, MISCONFIGURED}
        assert policy in result.stderr
        assert "hint: " in result.stderr
        assert "Traceback" not in result.stderr


# Tokens


def test_a_token_is_shown_once_and_only_its_hash_is_to_be_stored() -> None:
    made = CliRunner().invoke(main, ["token", "lane-3"])
    assert made.exit_code == 0
    token = token_in(made.stdout)
    line = made.stdout.split("line for the token file: ")[1]
    assert line.startswith("lane-3 sha256:")
    assert token not in line


@given(name=st.text().filter(lambda name: not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name) and not name.startswith("-")))
def test_a_name_that_would_break_the_file_is_refused(name: str) -> None:
    made = CliRunner().invoke(main, ["token", "--", name])
    assert made.exit_code == 2
    assert "is no name for a token" in made.stderr
    assert "Use 1 to 64" in made.stderr
    assert made.stdout == ""


def test_tokens_are_added_to_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    for name in ("lane-3", "lane-4"):
        made = CliRunner().invoke(main, ["token", name, "--file", str(file)])
        assert made.exit_code == 0
        assert token_in(made.stdout) not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [line.split()[0] for line in file.read_text().splitlines()] == ["lane-3", "lane-4"]


def test_a_file_that_cannot_be_written_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    made = CliRunner().invoke(main, ["token", "lane-3", "--file", str(tmp_path / "gone" / "tokens")])
    assert made.exit_code == 1
    assert "cannot write" in made.stderr
    assert "token: " not in made.stdout


def test_adding_a_token_never_locks_those_out_who_were_in(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    first = CliRunner().invoke(main, ["token", "lane-3"]).stdout
    file.write_text(first.split("line for the token file: ")[1].strip())
    with serving("--root", str(SCANS), "--token-file", str(file)) as server:
        assert status(server.origin) == 401
        assert status(server.origin, token_in(first)) == 405

        second = CliRunner().invoke(main, ["token", "lane-4", "--file", str(file)])
        assert status(server.origin, token_in(second.stdout)) == 405
        assert status(server.origin, token_in(first)) == 405

        again = CliRunner().invoke(main, ["token", "lane-3", "--file", str(file)])
        assert again.exit_code != 0
        assert "lane-3" in again.stderr
        broken = CliRunner().invoke(main, ["token", "lane-5", "--scope", "a#b", "--file", str(file)])
        assert broken.exit_code != 0
        assert status(server.origin, token_in(first)) == 405


def test_a_token_opens_what_its_scopes_allow(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    usual = CliRunner().invoke(main, ["token", "lane-3", "--file", str(file)])
    other = CliRunner().invoke(main, ["token", "lane-4", "--scope", "read", "--file", str(file)])
    with serving("--root", str(SCANS), "--token-file", str(file), "--scope", "screen") as server:
        assert status(server.origin, token_in(usual.stdout)) == 405
        assert status(server.origin, token_in(other.stdout)) == 403


# Starting


def test_the_start_line_says_who_is_answered_and_what_is_read(tmp_path: Path) -> None:
    options = ("--allowed-host", "xray.example", "--allowed-origin", "https://console.example", "--workers", "2")
    with serving("--root", str(SCANS), "--root", str(tmp_path), *options) as server:
        said = server.log.read_text()
        assert f"xray-mcp {__version__} serves {server.url}\n" in said
        assert re.search(r"^  hosts allowed: .*localhost.*xray\.example.*--allowed-host", said, re.MULTILINE)
        assert re.search(r"^  origins allowed: .*https://console\.example.*--allowed-origin", said, re.MULTILINE)
        assert re.search(rf"^  scans are read from: {re.escape(str(SCANS))}, {re.escape(str(tmp_path))}$", said, re.M)
        assert "no token is required" in said
        assert "2 screening processes" in said
        assert status(server.origin, Host="xray.example", Origin="https://console.example") == 405
        assert status(server.origin, Host="xray.example", Origin="https://xray.example") == 405
        assert status(server.origin, Host="other.example") == 421
        assert status(server.origin, Origin="https://other.example") == 403


def test_the_environment_sets_what_containers_set_there(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    made = CliRunner().invoke(main, ["token", "lane-3", "--file", str(file)])
    names = {
        "XRAY_TOKEN_FILE": str(file),
        "XRAY_ALLOWED_HOSTS": "xray.example scan.example:*",
        "XRAY_ALLOWED_ORIGINS": "https://a.example https://b.example",
    }
    with serving("--root", str(SCANS), env=names) as server:
        assert "a token is required" in server.log.read_text()
        token = token_in(made.stdout)
        for host in ("xray.example", "scan.example:8443", "127.0.0.1"):
            assert status(server.origin, token, Host=host) == 405
            assert status(server.origin, Host=host) == 401
        for origin in ("https://a.example", "https://b.example"):
            assert status(server.origin, token, Host="127.0.0.1", Origin=origin) == 405
        assert status(server.origin, token, Host="other.example") == 421
        assert status(server.origin, token, Host="127.0.0.1", Origin="https://c.example") == 403


def test_another_address_of_this_machine_is_answered_under_its_own_name() -> None:
    with serving("--root", str(SCANS), "--host", "127.0.0.2") as server:
        assert status(server.origin) == 405


def test_a_policy_of_ones_own_is_what_declarations_are_assessed_by(tmp_path: Path) -> None:
    policy = load_policy("customs").model_dump(mode="json", exclude_none=True) | {"name": "lane-3", "version": "7"}
    file = tmp_path / "lane-3.yaml"
    file.write_text(yaml.safe_dump(policy))

    async def talk(url: str) -> None:
        with anyio.fail_after(2 * PATIENCE_S):
            async with Client(url) as client:
                arguments = {"scan": "bag_1.png", "declared_items": ["belt"]}
                answer = await client.call_tool("assess_declaration", arguments)
                assert not answer.is_error, answer.content
                assert answer.structured_content is not None
                assert answer.structured_content["policy"]["name"] == "lane-3"
                assert answer.structured_content["policy"]["version"] == "7"
                assert answer.structured_content["recommended_action"] == "PHYSICAL_INSPECTION"

    with serving("--root", str(SCANS), "--policy", str(file)) as server:
        anyio.run(talk, server.url)
