"""Which program serves a model: vLLM in an environment of its own, or ``transformers serve`` where that cannot run."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Literal

from xray_agent_tools.errors import Misconfigured
from xray_servers.vlm.command import Engine

Choice = Literal["auto", "vllm", "transformers"]

_INSTALL_VLLM = "python -m venv vllm-env && vllm-env/bin/pip install vllm, then --vllm vllm-env/bin/vllm"
_INSTALL_TRANSFORMERS = "pip install 'transformers[serving]', or name the program with --transformers"


def engine_of(choice: Choice, *, vllm: Path | None = None, transformers: Path | None = None) -> tuple[Engine, str]:
    """The engine to use, and its program.

    Args:
        choice: which one; ``auto`` takes vLLM where it is found, and transformers otherwise.
        vllm: its program; looked for on ``PATH`` when not given.
        transformers: its program; looked for on ``PATH``, and beside this Python, when not given.

    Raises:
        Misconfigured: it is not there.
    """
    if choice != "transformers":
        program = _program("vllm", vllm)
        if program is not None:
            return "vllm", program
        if choice == "vllm":
            raise Misconfigured("vLLM was not found", hint=_INSTALL_VLLM)
    program = _program("transformers", transformers)
    if program is not None:
        return "transformers", program
    if choice == "transformers":
        raise Misconfigured("`transformers` was not found", hint=_INSTALL_TRANSFORMERS)
    raise Misconfigured("neither vLLM nor `transformers` was found", hint=_INSTALL_VLLM)


def _program(name: str, given: Path | None) -> str | None:
    if given is None:
        return shutil.which(name) or shutil.which(str(Path(sys.executable).with_name(name)))
    if not given.is_file() or not os.access(given, os.X_OK):
        raise Misconfigured(f"--{name} {given} is no program", hint=f"name the file {name} in its environment's bin")
    return str(given.absolute())
