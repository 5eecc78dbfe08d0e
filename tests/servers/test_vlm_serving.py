"""``xray-serve vlm`` starts the right engine in the right way, waits for it, checks its adapter, and ends it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from xray_servers.http.cli import main
from xray_servers.vlm.adapter import ALLOWED_RANKS, Adapter
from xray_servers.vlm.probe import Heard, differ

from tests.servers.engine import Engine, adapter_in, engine_in, model_in
from tests.servers.running import PATIENCE_S, is_alive, wait_until

IN_LANGUAGE = "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight"
IN_TOWER = "base_model.model.model.visual.blocks.0.attn.qkv.lora_A.weight"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XRAY_VLM_KEY", "VLLM_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return model_in(tmp_path / "model")


@pytest.fixture
def adapter(tmp_path: Path, model: Path) -> Path:
    return adapter_in(tmp_path / "adapter", str(model), IN_LANGUAGE)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["vlm", *map(str, arguments)])


def printed(*arguments: object) -> list[str]:
    """The words of the command that is printed."""
    result = run("--print", *arguments)
    assert result.exit_code == 0, result.output
    return shlex.split(result.output)


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


# The command


def test_a_model_is_served_closed_to_the_outside_under_the_name_that_clients_use(tmp_path: Path, model: Path) -> None:
    program = engine_in(tmp_path / "bin").program
    words = printed(model, "--vllm", program, "--port", 8123, "--tensor-parallel", 2, "--images", 3)
    start = words.index(str(program))
    assert words[0] == "env"
    assert {"VLLM_MEDIA_URL_ALLOW_REDIRECTS=0", "VLLM_NO_USAGE_STATS=1", "HF_HUB_OFFLINE=1"} <= set(words[1:start])
    assert words[start + 1 : start + 3] == ["serve", str(model)]
    assert option(words, "--host") == "127.0.0.1"
    assert option(words, "--port") == "8123"
    assert option(words, "--served-model-name") == "xray"
    assert option(words, "--tensor-parallel-size") == "2"
    assert json.loads(option(words, "--limit-mm-per-prompt")) == {"image": 3, "video": 0}
    assert json.loads(option(words, "--structured-outputs-config"))["backend"] == "xgrammar"
    assert option(words, "--allowed-media-domains").endswith(".invalid")
    assert not any("lora" in word or word == "--allowed-local-media-path" for word in words)


def test_an_adapter_is_served_beside_its_base(tmp_path: Path, model: Path, adapter: Path) -> None:
    words = printed(adapter, "--vllm", engine_in(tmp_path / "bin").program)
    assert words[words.index("serve") + 1] == str(model)
    assert option(words, "--served-model-name") == "base"
    assert option(words, "--lora-modules") == f"xray={adapter}"
    assert option(words, "--max-lora-rank") == "16"
    assert "--enable-lora" in words
    assert "--enable-tower-connector-lora" not in words


def test_an_adapter_of_the_vision_tower_is_served_with_it(tmp_path: Path, model: Path) -> None:
    adapter = adapter_in(tmp_path / "adapter", str(model), IN_LANGUAGE, IN_TOWER)
    assert "--enable-tower-connector-lora" in printed(adapter, "--vllm", engine_in(tmp_path / "bin").program)


@pytest.mark.parametrize(
    ("config", "rank"),
    [({"r": 1}, "1"), ({"r": 4}, "8"), ({"r": 64}, "64"), ({"r": 8, "rank_pattern": {"q_proj": 100}}, "128")],
)
def test_the_highest_rank_is_rounded_up_to_one_that_vllm_takes(
    config: dict[str, Any], rank: str, tmp_path: Path, model: Path
) -> None:
    adapter = adapter_in(tmp_path / "adapter", str(model), IN_LANGUAGE, **config)
    assert option(printed(adapter, "--vllm", engine_in(tmp_path / "bin").program), "--max-lora-rank") == rank


@given(st.integers(1, ALLOWED_RANKS[-1]))
def test_every_rank_gets_the_lowest_that_holds_it(rank: int) -> None:
    allowed = Adapter(Path("/a"), "base", rank, in_tower=False).allowed_rank
    assert allowed >= rank
    assert not any(rank <= lower < allowed for lower in ALLOWED_RANKS)


def test_what_follows_two_hyphens_goes_to_the_engine_as_it_is(tmp_path: Path, model: Path) -> None:
    words = printed("--vllm", engine_in(tmp_path / "bin").program, model, "--", "--enforce-eager", "--seed", "7")
    assert words[-3:] == ["--enforce-eager", "--seed", "7"]


def test_a_key_is_never_on_the_command_line(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XRAY_VLM_KEY", "open sesame")
    unit = tmp_path / "vlm.service"
    program = engine_in(tmp_path / "bin").program
    assert "sesame" not in " ".join(printed(model, "--vllm", program, "--host", "0.0.0.0"))
    assert run(model, "--vllm", program, "--unit", unit).exit_code == 0
    assert "sesame" not in unit.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "biases"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"r": 600}, "600"),
        ({"base_model_name_or_path": None}, "--base"),
        ({"r": None}, "no rank"),
    ],
)
def test_an_adapter_that_vllm_cannot_serve_is_refused_with_what_to_do(
    config: dict[str, Any], said: str, tmp_path: Path, model: Path
) -> None:
    adapter = adapter_in(tmp_path / "adapter", str(model), IN_LANGUAGE, **config)
    result = run(adapter, "--vllm", engine_in(tmp_path / "bin").program, "--print")
    assert result.exit_code == 23
    assert said in result.output
    assert "hint:" in result.output


def test_weights_that_are_no_safetensors_are_refused(tmp_path: Path, adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").write_bytes(b"\xff" * 40)
    result = run(adapter, "--vllm", engine_in(tmp_path / "bin").program, "--print")
    assert result.exit_code == 23
    assert "safetensors" in result.output


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    result = run(tmp_path, "--vllm", engine_in(tmp_path / "bin").program, "--print")
    assert result.exit_code == 23
    assert "neither a model nor an adapter" in result.output


def test_other_machines_reach_it_only_with_a_key(tmp_path: Path, model: Path) -> None:
    result = run(model, "--vllm", engine_in(tmp_path / "bin").program, "--host", "0.0.0.0", "--print")
    assert result.exit_code == 23
    assert "XRAY_VLM_KEY" in result.output


# The engine


def test_transformers_serve_is_the_fallback(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = engine_in(tmp_path / "bin", "transformers").program
    monkeypatch.setenv("PATH", str(program.parent))
    words = printed(model, "--port", 8124)
    assert words[words.index(str(program)) :] == [
        *(str(program), "serve", str(model)),
        *("--host", "127.0.0.1", "--port", "8124"),
    ]
    both = engine_in(tmp_path / "bin").program
    assert str(both) in printed(model)
    assert str(program) in printed(model, "--engine", "transformers")


def test_without_an_engine_it_says_how_to_get_one(model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run(model, "--engine", "vllm", "--print")
    assert result.exit_code == 23
    assert "pip install vllm" in result.output


def test_transformers_serve_gets_no_adapter_and_no_other_machine(tmp_path: Path, model: Path, adapter: Path) -> None:
    program = engine_in(tmp_path / "bin", "transformers").program
    fallback = ("--engine", "transformers", "--transformers", program, "--print")
    assert "xray-train merge" in run(adapter, *fallback).output
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XRAY_VLM_KEY", "key")
        result = run(model, "--host", "0.0.0.0", *fallback)
    assert result.exit_code == 23
    assert "no key" in result.output


# The unit


def test_a_unit_runs_the_engine_and_checks_it(tmp_path: Path, adapter: Path) -> None:
    engine = engine_in(tmp_path / "b i n")
    unit = tmp_path / "vlm.service"
    result = run(adapter, "--vllm", engine.program, "--unit", unit, "--", "--override", "50% of $HOME")
    assert result.exit_code == 0, result.output
    lines = unit.read_text(encoding="utf-8").splitlines()
    start = next(line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart="))
    check = next(line.removeprefix("ExecStartPost=") for line in lines if line.startswith("ExecStartPost="))
    assert shlex.split(start)[:2] == [str(engine.program), "serve"]
    assert start.endswith('"50%% of $$HOME"')
    assert "Environment=VLLM_MEDIA_URL_ALLOW_REDIRECTS=0" in lines
    words = shlex.split(check)
    assert Path(words[0]).name == "xray-serve"
    assert words[1:4] == ["vlm", str(adapter), "--check"]
    assert not engine.folder.joinpath("started.json").exists()


# A running engine


@contextmanager
def serving(engine: Engine, model: Path, port: int, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The command in a process of its own, and the file that its words go to; it must end by itself in the block."""
    log = engine.folder / "log"
    command = [sys.executable, "-m", "xray_servers.http", "vlm", str(model), "--vllm", str(engine.program)]
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "--port", str(port), *options], stdout=output, stderr=output)
    try:
        yield process, log
        process.wait(PATIENCE_S)
    finally:
        process.kill()
        process.wait()


def wait_for(log: Path, words: str, process: subprocess.Popen[bytes]) -> None:
    wait_until(lambda: words in log.read_text(encoding="utf-8") or process.poll() is not None, words)
    assert words in log.read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_waits_until_the_engine_answers_and_ends_it_when_it_is_asked_to_end(
    number: signal.Signals, tmp_path: Path, model: Path, free_tcp_port: int
) -> None:
    engine = engine_in(tmp_path / "bin")
    with serving(engine, model, free_tcp_port) as (process, log):
        wait_for(log, f"--vlm-url http://127.0.0.1:{free_tcp_port}/v1 --vlm-model xray", process)
        assert is_alive(engine.worker)
        os.kill(process.pid, number)
    assert process.returncode == 128 + number
    assert engine.signalled == number
    wait_until(lambda: not is_alive(engine.worker), "the end of what the engine started")


def test_it_ends_the_engine_however_soon_it_is_asked_to(tmp_path: Path, model: Path, free_tcp_port: int) -> None:
    engine = engine_in(tmp_path / "bin", behaviour="never answers")
    with serving(engine, model, free_tcp_port) as (process, _):
        wait_until(engine.folder.joinpath("worker").exists, "the engine's start")
        wait_until(lambda: engine.folder.joinpath("worker").read_text() != "", "the engine's worker")
        process.terminate()
    assert process.returncode == 128 + signal.SIGTERM
    assert engine.signalled == signal.SIGTERM
    wait_until(lambda: not is_alive(engine.worker), "the end of what the engine started")


def test_an_adapter_that_changes_the_answers_is_served(tmp_path: Path, adapter: Path, free_tcp_port: int) -> None:
    engine = engine_in(tmp_path / "bin")
    with serving(engine, adapter, free_tcp_port) as (process, log):
        wait_for(log, "--vlm-model xray", process)
        process.terminate()
    asked = engine.asked
    assert [request["model"] for request in asked] == ["base", "base", "xray"]
    assert all(request["messages"] == asked[0]["messages"] for request in asked)
    assert asked[0]["temperature"] == 0
    assert asked[0]["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")


def test_an_adapter_that_changes_only_the_words_is_served(tmp_path: Path, adapter: Path, free_tcp_port: int) -> None:
    engine = engine_in(tmp_path / "bin", behaviour="answers in other words")
    with serving(engine, adapter, free_tcp_port) as (process, log):
        wait_for(log, "--vlm-model xray", process)
        process.terminate()


@pytest.mark.parametrize(
    ("behaviour", "said", "code"),
    [
        ("ignores the adapter", "changes nothing", 23),
        ("forgets the adapter", "serves base, not xray", 20),
        ("dies", "ended with code 7", 20),
        ("never answers", "did not answer in 2 seconds", 20),
    ],
)
def test_an_engine_that_does_not_serve_the_adapter_is_ended_with_an_error(
    behaviour: str, said: str, code: int, tmp_path: Path, adapter: Path, free_tcp_port: int
) -> None:
    engine = engine_in(tmp_path / "bin", behaviour=behaviour)
    wait = ("--wait", "2" if behaviour == "never answers" else "50")
    with serving(engine, adapter, free_tcp_port, *wait) as (process, log):
        process.wait(PATIENCE_S)
    words = log.read_text(encoding="utf-8")
    assert process.returncode == code
    assert said in words
    assert "hint:" in words
    assert behaviour == "dies" or engine.signalled == signal.SIGTERM


def test_a_key_reaches_the_engine_by_its_environment(
    tmp_path: Path, model: Path, free_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XRAY_VLM_KEY", "open sesame")
    engine = engine_in(tmp_path / "bin")
    with serving(engine, model, free_tcp_port) as (process, log):
        wait_for(log, "--vlm-model xray", process)
        process.terminate()
    assert engine.environment["VLLM_API_KEY"] == "open sesame"
    assert not any("sesame" in argument for argument in engine.arguments)


def test_a_port_that_is_taken_is_refused_and_one_that_runs_can_be_checked(
    tmp_path: Path, adapter: Path, free_tcp_port: int
) -> None:
    engine = engine_in(tmp_path / "bin")
    there = (adapter, "--vllm", engine.program, "--port", free_tcp_port)
    with serving(engine, adapter, free_tcp_port) as (process, log):
        wait_for(log, "--vlm-model xray", process)
        taken = run(*there)
        checked = run(*there, "--check")
        process.terminate()
    assert taken.exit_code == 23
    assert "answers" in taken.output
    assert checked.exit_code == 0
    assert "--vlm-model xray" in checked.output


# What the probe counts as a difference

VALUES = st.lists(st.floats(-20, 0), min_size=1, max_size=8).map(tuple)


@given(VALUES)
def test_the_same_answer_three_times_is_no_difference(values: tuple[float, ...]) -> None:
    heard = Heard("A bag.", values)
    assert not differ(heard, heard, heard)


@given(VALUES, st.floats(0.01, 5))
def test_another_probability_is_a_difference_and_noise_is_none(values: tuple[float, ...], shift: float) -> None:
    base = Heard("A bag.", values)
    moved = Heard("A bag.", tuple(value - shift for value in values))
    assert differ(base, base, moved)
    assert not differ(base, moved, moved)


def test_other_words_are_a_difference_unless_the_base_itself_wavers() -> None:
    base, again, adapter = Heard("A bag.", ()), Heard("A case.", ()), Heard("A pistol.", ())
    assert differ(base, base, adapter)
    assert not differ(base, again, adapter)
