from __future__ import annotations

import json
import os
import platform
import stat
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from xray_servers.mcp.install import SKILL_NAME, install, skill, skill_text

from xray_agent_tools.errors import TABLE, AuditUnavailable, BagConflict, BrokenChain, RecordUncertain, UnknownRecord
from xray_agent_tools.tools import TOOLS, VIEW_SCAN

DEFAULT_FILES = {
    "claude-code": "project/.mcp.json",
    "claude-desktop": "home/.config/Claude/claude_desktop_config.json",
    "cursor": "home/.cursor/mcp.json",
    "vscode": "project/.vscode/mcp.json",
}
SERVERS_KEYS = {
    "claude-code": "mcpServers",
    "claude-desktop": "mcpServers",
    "cursor": "mcpServers",
    "vscode": "servers",
}
URL = "http://127.0.0.1:8000/mcp"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a home and with a project that is the current folder, on Linux."""
    for name in ("home", "project"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(install, [str(argument) for argument in arguments])


def installed(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert result.exit_code in {1, 2}, result.output
    assert isinstance(result.exception, SystemExit)
    return " ".join(result.output.split())


def content(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("client", DEFAULT_FILES)
def test_each_client_gets_an_entry_in_its_own_file(place: Path, client: str) -> None:
    said = installed(client)
    file = place / DEFAULT_FILES[client]
    entry = content(file)[SERVERS_KEYS[client]]["xray"]
    assert Path(entry["command"]).is_absolute()
    assert entry["args"][-2:] == ["--root", str(place / "project")]
    assert ("type" in entry) == (client != "claude-desktop")
    assert str(file) in said
    assert "screen the bag bag_1.png" in said


@pytest.mark.parametrize(
    ("client", "scope", "expected"),
    [
        ("claude-code", "user", "home/.claude.json"),
        ("cursor", "project", "project/.cursor/mcp.json"),
        ("vscode", "user", "home/.config/Code/User/mcp.json"),
    ],
)
def test_the_scope_chooses_the_file(place: Path, client: str, scope: str, expected: str) -> None:
    installed(client, "--scope", scope)
    assert "xray" in content(place / expected)[SERVERS_KEYS[client]]
    assert not (place / DEFAULT_FILES[client]).exists()


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("Darwin", "home/Library/Application Support/Claude/claude_desktop_config.json"),
        ("Windows", "roaming/Claude/claude_desktop_config.json"),
        ("Linux", "xdg/Claude/claude_desktop_config.json"),
    ],
)
def test_the_files_of_an_application_lie_where_the_system_keeps_them(
    place: Path, monkeypatch: pytest.MonkeyPatch, system: str, expected: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setenv("APPDATA", str(place / "roaming"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place / "xdg"))
    installed("claude-desktop")
    assert (place / expected).exists()


def test_claude_desktop_has_no_project_scope(place: Path) -> None:
    assert "leave --scope out" in refused("claude-desktop", "--scope", "project")


def test_roots_become_absolute_and_the_model_follows_them(place: Path) -> None:
    (place / "project" / "scans").mkdir()
    installed("claude-code", "--root", "scans", "--root", place / "home", "--model", "default")
    arguments = content(place / "project/.mcp.json")["mcpServers"]["xray"]["args"]
    expected = ["--root", str(place / "project" / "scans"), "--root", str(place / "home"), "--model", "default"]
    assert arguments[-6:] == expected


def test_a_model_folder_becomes_absolute(place: Path) -> None:
    import xray_agent_tools

    package = Path(xray_agent_tools.__file__).parent / "models" / "default"
    (place / "project" / "mine").symlink_to(package)
    installed("claude-code", "--model", "mine")
    arguments = content(place / "project/.mcp.json")["mcpServers"]["xray"]["args"]
    assert arguments[-2:] == ["--model", str(place / "project" / "mine")]


@pytest.mark.parametrize(
    ("arguments", "next_step"),
    [
        (["--root", "nowhere"], "does not exist"),
        (["--model", "nowhere"], "give a folder with manifest.json"),
        (["--name", "two words"], "letters, digits"),
        (["--url", "localhost:8000"], "give the whole address"),
        (["--url", "http://[::1/mcp"], "give the whole address"),
        (["--url", URL, "--token-env", "s3cret-token"], "never the token itself"),
        (["--token-env", "XRAY_TOKEN"], "give its --url too"),
        (["--url", URL, "--root", "."], "give them where it starts"),
        (["--url", URL, "--model", "default"], "give them where it starts"),
    ],
)
def test_a_wrong_option_is_refused_with_the_next_step(place: Path, arguments: list[str], next_step: str) -> None:
    assert next_step in refused("claude-code", *arguments)
    assert list((place / "project").iterdir()) == []


def test_the_command_is_the_executable_beside_the_interpreter(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable = place / "bin" / "xray-mcp"
    executable.parent.mkdir()
    executable.write_text("")
    executable.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(executable.with_name("python")))
    installed("claude-code")
    assert content(place / "project/.mcp.json")["mcpServers"]["xray"]["command"] == str(executable)


def test_without_an_executable_the_interpreter_runs_the_package(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(place / "python"))
    monkeypatch.setenv("PATH", str(place))
    installed("claude-code")
    entry = content(place / "project/.mcp.json")["mcpServers"]["xray"]
    assert [entry["command"], *entry["args"][:2]] == [str(place / "python"), "-m", "xray_servers.mcp"]


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("claude-code", {"type": "http", "url": URL, "headers": {"Authorization": "Bearer ${XRAY_TOKEN}"}}),
        ("cursor", {"url": URL, "headers": {"Authorization": "Bearer ${env:XRAY_TOKEN}"}}),
        ("vscode", {"type": "http", "url": URL, "headers": {"Authorization": "Bearer ${input:XRAY_TOKEN}"}}),
    ],
)
def test_a_running_server_is_called_with_a_token_that_the_file_does_not_hold(
    place: Path, client: str, expected: dict[str, Any]
) -> None:
    installed(client, "--url", URL, "--token-env", "XRAY_TOKEN")
    assert content(place / DEFAULT_FILES[client])[SERVERS_KEYS[client]]["xray"] == expected


def test_a_running_server_without_a_token_gets_no_header(place: Path) -> None:
    installed("claude-code", "--url", URL)
    assert content(place / "project/.mcp.json")["mcpServers"]["xray"] == {"type": "http", "url": URL}


def test_vs_code_asks_once_for_the_token_of_two_servers(place: Path) -> None:
    for name in ("east", "west"):
        installed("vscode", "--url", URL, "--token-env", "XRAY_TOKEN", "--name", name)
    questions = content(place / "project/.vscode/mcp.json")["inputs"]
    assert [(question["id"], question["password"]) for question in questions] == [("XRAY_TOKEN", True)]


def test_claude_desktop_takes_no_address_and_says_what_to_do(place: Path) -> None:
    said = refused("claude-desktop", "--url", URL)
    assert "Leave --url out" in said
    assert "Connectors" in said


@pytest.mark.parametrize("client", DEFAULT_FILES)
def test_print_shows_the_file_and_the_block_and_writes_nothing(place: Path, client: str) -> None:
    before = sorted(place.rglob("*"))
    name, block = installed(client, "--print").split("\n", 1)
    assert sorted(place.rglob("*")) == before
    installed(client)
    assert name == str(place / DEFAULT_FILES[client])
    assert content(Path(name)) == json.loads(block)


def test_the_same_entry_twice_changes_nothing(place: Path) -> None:
    installed("cursor")
    file = place / DEFAULT_FILES["cursor"]
    file.write_text(json.dumps(content(file), indent=7))
    before = file.read_bytes()
    assert "Already in" in installed("cursor")
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_another_entry_of_that_name_is_replaced_only_by_force(place: Path) -> None:
    installed("claude-code", "--url", URL)
    file = place / "project/.mcp.json"
    before = file.read_bytes()
    assert "--force" in refused("claude-code")
    assert file.read_bytes() == before
    installed("claude-code", "--force")
    assert content(file)["mcpServers"]["xray"]["type"] == "stdio"


@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_the_previous_version_is_kept_and_the_mode_stays(place: Path, mode: int) -> None:
    file = place / "home/.claude.json"
    file.write_text('{"numStartups": 7}')
    file.chmod(mode)
    before = file.read_bytes()
    installed("claude-code", "--scope", "user")
    backup = file.with_name(".claude.json.bak")
    assert backup.read_bytes() == before
    assert [stat.S_IMODE(kept.stat().st_mode) for kept in (file, backup)] == [mode, mode]
    assert sorted(file.parent.iterdir()) == [file, backup]


def test_a_linked_file_is_followed_and_stays_a_link(place: Path) -> None:
    dotfiles = place / "dotfiles"
    dotfiles.mkdir()
    (dotfiles / "mcp.json").write_text('{"mcpServers": {"other": {"command": "x"}}}')
    link = place / "project/.mcp.json"
    link.symlink_to(dotfiles / "mcp.json")
    installed("claude-code")
    assert link.is_symlink()
    assert list(content(dotfiles / "mcp.json")["mcpServers"]) == ["other", "xray"]
    assert (dotfiles / "mcp.json.bak").exists()


def test_a_link_to_a_file_that_is_not_there_yet_is_followed(place: Path) -> None:
    link = place / "project/.mcp.json"
    link.symlink_to(place / "dotfiles" / "mcp.json")
    installed("claude-code")
    assert link.is_symlink()
    assert "xray" in content(place / "dotfiles" / "mcp.json")["mcpServers"]


@pytest.mark.parametrize("text", ["", " \n", "\ufeff{}"])
def test_an_empty_file_is_filled(place: Path, text: str) -> None:
    file = place / "project/.mcp.json"
    file.write_text(text, encoding="utf-8")
    installed("claude-code")
    assert list(content(file)["mcpServers"]) == ["xray"]


@pytest.mark.parametrize(
    "text",
    [
        '{"servers": {',
        '{\n  // my servers\n  "servers": {}\n}',
        '{"servers": {},}',
        '["servers"]',
        '{"servers": []}',
        '{"servers": null}',
        '{"servers": {}, "inputs": {}}',
        '{"servers": {}, "servers": {"other": {}}}',
        '{"servers": {}, "share": NaN}',
        '{"servers": {}, "share": 1e999}',
        '{"servers": ' * 100_000,
    ],
    ids=range(11),
)
def test_a_file_that_cannot_be_kept_whole_is_left_alone_and_the_block_shown(place: Path, text: str) -> None:
    file = place / "project/.vscode/mcp.json"
    file.parent.mkdir()
    file.write_text(text)
    arguments = ["vscode", "--url", URL, "--token-env", "XRAY_TOKEN"]
    result = run(*arguments)
    assert result.exit_code == 1
    assert str(file) in result.output
    shown = json.loads(result.output[result.output.index("\n") :])
    assert shown == json.loads(installed(*arguments, "--print").split("\n", 1)[1])
    assert file.read_text() == text
    assert list(file.parent.iterdir()) == [file]


def test_a_folder_in_the_place_of_the_file_is_an_error_with_the_block(place: Path) -> None:
    (place / "project/.mcp.json").mkdir()
    assert "add this by hand" in refused("claude-code")


def test_links_in_a_circle_are_an_error_with_the_block(place: Path) -> None:
    (place / "project/.mcp.json").symlink_to(place / "project/.mcp.json")
    assert "add this by hand" in refused("claude-code")
    assert (place / "project/.mcp.json").is_symlink()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = place / "project/.mcp.json"
    file.write_text('{"mcpServers": {}}')

    def disk_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    assert "No space left on device" in refused("claude-code")
    assert file.read_text() == '{"mcpServers": {}}'
    assert list(file.parent.iterdir()) == [file]


any_text = st.text(st.characters(), max_size=8)
any_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=10,
)
other_servers = st.dictionaries(any_text.filter(lambda name: name != "xray"), any_value, max_size=4)


@given(
    before=st.dictionaries(any_text, any_value, max_size=4),
    servers=st.none() | other_servers,
    after=st.dictionaries(any_text, any_value, max_size=4),
    escaped=st.booleans(),
)
def test_whatever_else_the_file_holds_is_there_afterwards_in_its_order(
    before: dict[str, Any], servers: dict[str, Any] | None, after: dict[str, Any], escaped: bool
) -> None:
    document = {**before, **({} if servers is None else {"mcpServers": servers}), **after}
    document = json.loads(json.dumps(document))
    with TemporaryDirectory() as home:
        file = Path(home) / ".cursor" / "mcp.json"
        file.parent.mkdir()
        file.write_bytes(json.dumps(document, ensure_ascii=escaped).encode("utf-8", "backslashreplace"))
        result = CliRunner().invoke(install, ["cursor"], env={"HOME": home})
        assert result.exit_code == 0, result.output
        written = content(file)
    assert written["mcpServers"].pop("xray")["type"] == "stdio"
    if "mcpServers" not in document:
        assert written.pop("mcpServers") == {}
    assert json.dumps(written) == json.dumps(document)


@given(garbage=st.binary(max_size=40) | st.text(alphabet='{}[]",:/ \n1x', max_size=20).map(str.encode))
def test_whatever_bytes_the_file_holds_it_ends_up_whole(garbage: bytes) -> None:
    with TemporaryDirectory() as home:
        file = Path(home) / ".cursor" / "mcp.json"
        file.parent.mkdir()
        file.write_bytes(garbage)
        result = CliRunner().invoke(install, ["cursor"], env={"HOME": home})
        if result.exit_code == 0:
            assert "xray" in content(file)["mcpServers"]
        else:
            assert isinstance(result.exception, SystemExit)
            assert file.read_bytes() == garbage


def front_matter() -> dict[str, Any]:
    _, block, _ = skill_text().split("---\n", 2)
    parsed: dict[str, Any] = yaml.safe_load(block)
    return parsed


def test_the_skill_is_named_and_described_as_the_format_wants() -> None:
    assert set(front_matter()) == {"name", "description"}
    assert front_matter()["name"] == SKILL_NAME
    assert 100 < len(front_matter()["description"]) <= 500
    assert len(skill_text().splitlines()) < 150


@pytest.mark.parametrize("tool", [*TOOLS, VIEW_SCAN], ids=lambda tool: tool.name)
def test_the_skill_names_every_tool(tool: Any) -> None:
    assert f"`{tool.name}`" in skill_text()
    assert tool.name in front_matter()["description"]


def test_the_skill_says_what_to_do_about_every_error_and_about_no_other() -> None:
    section = skill_text().split("## When a call fails")[1].split("\n## ")[0]
    codes = {line.split("`")[1] for line in section.splitlines() if line.startswith("| `")}
    of_records = {BagConflict, UnknownRecord, AuditUnavailable, RecordUncertain, BrokenChain}
    assert codes == {error.code for error in TABLE if error not in of_records}


def test_the_skill_is_printed_as_it_is() -> None:
    assert CliRunner().invoke(skill).output == skill_text()


def test_the_skill_is_written_into_a_folder_of_its_name(tmp_path: Path) -> None:
    result = CliRunner().invoke(skill, ["--out", str(tmp_path / "skills")])
    file = tmp_path / "skills" / "screen-xray-bags" / "SKILL.md"
    assert result.exit_code == 0
    assert str(file) in result.output
    assert file.read_text(encoding="utf-8") == skill_text()
    assert "Already in" in CliRunner().invoke(skill, ["--out", str(tmp_path / "skills")]).output


def test_a_skill_that_was_changed_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / "screen-xray-bags" / "SKILL.md"
    file.parent.mkdir()
    file.write_text("mine")
    assert CliRunner().invoke(skill, ["--out", str(tmp_path)]).exit_code == 0
    assert file.read_text(encoding="utf-8") == skill_text()
    assert file.with_name("SKILL.md.bak").read_text() == "mine"


def test_a_skill_that_cannot_be_written_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "screen-xray-bags").write_text("a file in the way")
    result = CliRunner().invoke(skill, ["--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "Choose another --out" in result.output
