"""A virtual environment for each client, made by uv and kept until its requirements change."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.clients.clients import Client, ClientFailed

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
INSTALL_S = 600


@dataclass(frozen=True, slots=True)
class Environment:
    """An installed environment.

    Attributes:
        python: its interpreter.
        versions: the version of every package in it.
    """

    python: Path
    versions: dict[str, str]


def environment_of(client: Client, folder: Path) -> Environment:
    """The client's environment below a folder, installed now unless it is there and up to date.

    A client of OpenAI's API has the answer types beside it, as a program of its users has: this checkout.

    Raises:
        ClientFailed: a package cannot be installed.
    """
    home = folder / client.speaks / client.name
    python, stamp = home / "bin" / "python", home / "requirements.sha256"
    wanted = hashlib.sha256(client.requirements.read_bytes() + sys.version.encode()).hexdigest()
    if not (stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted and python.exists()):
        shutil.rmtree(home, ignore_errors=True)
        _uv("venv", "--quiet", "--python", sys.executable, str(home), client=client)
        wants = ["-r", str(client.requirements), *(["--editable", str(ROOT)] if client.speaks == "chat" else [])]
        _uv("pip", "install", "--quiet", "--python", str(python), *wants, client=client)
        stamp.write_text(wanted, encoding="utf-8")
    listed = json.loads(_uv("pip", "list", "--quiet", "--python", str(python), "--format", "json", client=client))
    return Environment(python, {package["name"]: package["version"] for package in listed})


def _uv(*arguments: str, client: Client) -> str:
    try:
        done = subprocess.run([UV, *arguments], capture_output=True, text=True, timeout=INSTALL_S)
    except FileNotFoundError as error:
        raise ClientFailed(f"there is no {UV}; run `make clients`, which installs uv") from error
    except subprocess.TimeoutExpired as error:
        raise ClientFailed(f"installing {client.requirements.name} took more than {INSTALL_S} s") from error
    if done.returncode:
        raise ClientFailed(
            f"cannot install {client.requirements.name}; it needs a package index that can be reached, and the pinned "
            f"versions on it: {done.stderr.strip()}"
        )
    return done.stdout
