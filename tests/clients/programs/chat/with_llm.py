"""Calls of ``llm``, from Python and as the command, with the server in its settings as the documentation has it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import llm  # type: ignore[import-not-found]

from tests.clients.programs.chat.asking import GREETING, Endpoint, main
from xray_agent_tools.report import ThreatReport

PAGE = Path(__file__).parents[4] / "docs" / "openai.md"


@contextmanager
def model_of(endpoint: Endpoint) -> Iterator[Any]:
    """The model, as the user's folder describes it."""
    [block] = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    described = block.replace("http://127.0.0.1:8000/v1", endpoint.url).replace("xray-screener", endpoint.model)
    with TemporaryDirectory() as folder:
        (Path(folder) / "extra-openai-models.yaml").write_text(described, encoding="utf-8")
        os.environ["LLM_USER_PATH"] = folder
        yield llm.get_model(endpoint.model)


def prompt(endpoint: Endpoint, scan: Path | None, **more: Any) -> Any:
    with model_of(endpoint) as model:
        pictures = [] if scan is None else [llm.Attachment(path=str(scan))]
        return model.prompt(GREETING if scan is None else "", attachments=pictures, key=endpoint.key, **more).text()


def words(endpoint: Endpoint, scan: Path | None) -> Any:
    return prompt(endpoint, scan, stream=False)


def stream(endpoint: Endpoint, scan: Path | None) -> Any:
    return prompt(endpoint, scan, stream=True)


def schema(endpoint: Endpoint, scan: Path | None) -> Any:
    answer = prompt(endpoint, scan, schema=ThreatReport, stream=False)
    return ThreatReport.model_validate_json(answer).model_dump(mode="json")


def command(endpoint: Endpoint, scan: Path | None) -> Any:
    with model_of(endpoint):
        run = ["-m", "llm", "-m", endpoint.model, "--key", endpoint.key, "-a", str(scan), ""]
        return subprocess.run([sys.executable, *run], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main({"prompt": words, "stream": stream, "schema": schema, "command": command})
