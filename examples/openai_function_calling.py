"""Let a chat model screen a bag through OpenAI function calling.

Set OPENAI_API_KEY (and OPENAI_BASE_URL for another endpoint), then:

    python examples/openai_function_calling.py examples/scans/bag_1.png "Is there anything dangerous in this bag?"
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import openai

from xray_agent_tools import Screener, XrayToolsError
from xray_agent_tools.adapters.openai import AnsweredCall, ToolRun, run_tools

MOST_ROUNDS = 6


def ask(client: openai.OpenAI, model: str, scan: str, question: str) -> ToolRun:
    """Let the model call the tools, which read nothing outside the scan's folder, until it answers in words."""
    return run_tools(
        client,
        model=model,
        messages=[{"role": "user", "content": f"{question}\nThe scan is the file {scan}."}],
        screener=Screener(roots=[Path(scan).parent]),
        max_rounds=MOST_ROUNDS,
        on_call=show,
    )


def show(call: AnsweredCall) -> None:
    """Print a call as it is answered."""
    print(f"  {call.name}: {call.verdict or 'answered' if call.ok else call.text} ({call.milliseconds:.0f} ms)")


if __name__ == "__main__":
    try:
        run = ask(openai.OpenAI(), os.environ.get("XRAY_CHAT_MODEL", "gpt-5-mini"), sys.argv[1], sys.argv[2])
    except XrayToolsError as error:
        sys.exit(str(error))
    print(run.text if run.complete else f"No whole answer: {run.refusal or run.finish_reason}. {run.text}")
    print("What the tools found, whatever the words say:", run.verdicts or "nothing was looked at")
