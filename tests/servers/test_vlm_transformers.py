"""A Qwen2.5-VL made from its configuration, served by ``transformers serve`` and asked through ``explain_scan``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from xray_servers.vlm.endpoint import Endpoint

from tests.library.pictures import ScriptedDetector, bag, found
from tests.servers.running import wait_until
from xray_agent_tools.explainer.picture import Frame
from xray_agent_tools.explainer.vlm import VlmExplainer
from xray_agent_tools.screener import Screener

_MAKE = """
import sys
from xray_training.vlm.config import FrameSettings
from xray_training.vlm.nano import TINY, make_model, make_processor

frame = FrameSettings(min_pixels=3136, max_pixels=12544)
processor = make_processor(TINY, frame, ["Is there a gun? Yes.", '{"answer": "no"}'] * 20)
make_model(TINY, processor, 0).save_pretrained(sys.argv[1])
processor.save_pretrained(sys.argv[1])
"""
PATIENCE_S = 900.0


@pytest.mark.slow
def test_a_model_made_from_its_configuration_is_served_by_transformers_and_asked(
    tmp_path: Path, free_tcp_port: int
) -> None:
    pytest.importorskip("transformers")
    model, log = tmp_path / "model", tmp_path / "log"
    subprocess.run([sys.executable, "-c", _MAKE, str(model)], check=True, timeout=PATIENCE_S)
    command = [sys.executable, "-m", "xray_servers.http", "vlm", str(model), "--engine", "transformers"]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "--port", str(free_tcp_port), "--", "--device", "cpu"], stdout=output, stderr=output
        )
    try:
        ready = "--vlm-url"
        wait_until(lambda: ready in log.read_text() or server.poll() is not None, "transformers serve", PATIENCE_S)
        assert ready in log.read_text(), log.read_text()
        assert Endpoint("127.0.0.1", free_tcp_port).models() == [str(model)]
        explainer = VlmExplainer(
            base_url=f"http://127.0.0.1:{free_tcp_port}/v1",
            model=str(model),
            timeout=PATIENCE_S,
            max_tokens=16,
            frame=Frame(min_pixels=3136, max_pixels=12_544),
        )
        screener = Screener(model=ScriptedDetector([found("gun")]), explainer=explainer)
        answer = screener.explain_scan(bag(), question="Is there a gun?")
    finally:
        server.terminate()
        server.wait(PATIENCE_S)
    assert answer.backend == "grounded"
    assert [finding.detection_ids for finding in answer.findings] == [["d1"]]
    assert "words are not used" in answer.answer
    assert server.returncode == 128 + 15
