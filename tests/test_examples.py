"""The examples run."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import openai
import pytest

from tests.library.chat_server import chat_server
from xray_agent_tools.adapters.openai import ChatModelFailed
from xray_agent_tools.scan import load_scan

ROOT = Path(__file__).parent.parent


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(scan: Path) -> dict[str, Any]:
    function = {"name": "detect_threats", "arguments": json.dumps({"scan": str(scan)})}
    return {"content": None, "tool_calls": [{"id": "c1", "type": "function", "function": function}]}


def test_a_chat_model_screens_a_bag_through_function_calling(demo_scans: list[Path]) -> None:
    with chat_server(call(demo_scans[0]), "There is a gun.") as (url, requests):
        client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
        run = example("openai_function_calling").ask(client, "m", str(demo_scans[0]), "Anything dangerous?")
    assert run.text == "There is a gun."
    assert requests[0]["tools"][0]["function"]["name"] == "detect_threats"
    result = requests[1]["messages"][-1]
    assert (result["role"], result["tool_call_id"]) == ("tool", "c1")
    assert json.loads(result["content"])["verdict"] in {"ALARM", "NO_ALARM"}


def test_a_model_that_never_stops_calling_tools_is_stopped(demo_scans: list[Path]) -> None:
    with chat_server(call(demo_scans[0])) as (url, requests):
        client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
        with pytest.raises(ChatModelFailed, match="no answer after"):
            example("openai_function_calling").ask(client, "m", str(demo_scans[0]), "Anything dangerous?")
    assert len(requests) == example("openai_function_calling").MOST_ROUNDS


def test_the_demo_scans_can_be_made_again(demo_scans: list[Path], tmp_path: Path) -> None:
    example("make_scans").main(tmp_path)
    for path in demo_scans:
        made, shipped = (load_scan(folder / path.name).views[0].pixels for folder in (tmp_path, path.parent))
        np.testing.assert_array_equal(made, shipped)
    assert (tmp_path / "truth.json").read_text() == (demo_scans[0].parent / "truth.json").read_text()
