"""Calls of instructor."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import instructor  # type: ignore[import-not-found]
from openai import OpenAI

from tests.clients.programs.chat.asking import Endpoint, main, messages
from xray_agent_tools.report import ThreatReport


def report(endpoint: Endpoint, scan: Path | None, *, mode: instructor.Mode) -> Any:
    client = OpenAI(base_url=endpoint.url, api_key=endpoint.key, max_retries=0)
    answer = instructor.from_openai(client, mode=mode).chat.completions.create(
        model=endpoint.model, messages=messages(scan), response_model=ThreatReport, max_retries=0
    )
    return answer.model_dump(mode="json")


if __name__ == "__main__":
    modes = (instructor.Mode.TOOLS, instructor.Mode.TOOLS_STRICT, instructor.Mode.JSON_SCHEMA)
    main({mode.name.lower(): partial(report, mode=mode) for mode in modes})
