"""The command that serves a model, for each engine: what it is started with, and what clients then call the model."""

from __future__ import annotations

import ipaddress
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xray_agent_tools.errors import Misconfigured
from xray_servers.vlm.adapter import Adapter

Engine = Literal["vllm", "transformers"]

BASE_NAME = "base"
"""What clients call the base model where an adapter is served beside it."""

_NOWHERE = "nowhere.invalid"
_ALL_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
_SILENT = {"DO_NOT_TRACK": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "VLLM_NO_USAGE_STATS": "1"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be served, and how.

    Attributes:
        model: a folder or a name on a hub: the base where there is an adapter.
        adapter: what is put on it, if anything.
        name: what clients call the result.
        host: address to listen at.
        port: port to listen at.
        images: most pictures in one request.
        tensor_parallel: GPUs that share the model.
        gpu_memory: share of each GPU's memory that may be used.
        max_model_len: longest conversation in tokens, pictures included.
        extra: further arguments of the engine, as they are.
    """

    model: str
    adapter: Adapter | None = None
    name: str = "xray"
    host: str = "127.0.0.1"
    port: int = 8001
    images: int = 4
    tensor_parallel: int = 1
    gpu_memory: float = 0.9
    max_model_len: int = 16_384
    extra: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether all of it lies on this machine, so that no hub needs to be asked."""
        return Path(self.model).is_dir()


@dataclass(frozen=True, slots=True)
class Command:
    """How an engine is started.

    Attributes:
        engine: which.
        arguments: its program and arguments; never a key.
        environment: variables beside those there are; never a key.
        key_variable: the variable that its key goes into; None if it asks for none.
        model: what clients call the model.
        base: what they call the base beside it, if it is served too.
        host: address that it answers at, as seen from this machine.
        port: port that it answers at.
    """

    engine: Engine
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    key_variable: str | None
    model: str
    base: str | None
    host: str
    port: int

    @property
    def url(self) -> str:
        """Where it answers."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/v1"

    def as_shell(self) -> str:
        """The command as it is typed into a shell."""
        return shlex.join(["env", *(f"{name}={value}" for name, value in self.environment.items()), *self.arguments])


def vllm_command(program: str, wanted: Wanted) -> Command:
    """The ``vllm serve`` command for a model, or for an adapter on its base.

    Pictures come as data URIs only: no host is fetched from, and no local file is read.
    """
    adapter = wanted.adapter
    arguments = [
        *(program, "serve", wanted.model),
        *("--host", wanted.host, "--port", str(wanted.port)),
        *("--served-model-name", wanted.name if adapter is None else BASE_NAME),
        *("--generation-config", "vllm"),
        *("--structured-outputs-config", _json({"backend": "xgrammar", "disable_any_whitespace": True})),
        *("--limit-mm-per-prompt", _json({"image": wanted.images, "video": 0})),
        # An empty list of hosts allows every host; a name that can exist nowhere allows none.
        *("--allowed-media-domains", _NOWHERE),
        *("--tensor-parallel-size", str(wanted.tensor_parallel)),
        *("--gpu-memory-utilization", f"{wanted.gpu_memory:g}"),
        *("--max-model-len", str(wanted.max_model_len)),
    ]
    if adapter is not None:
        arguments += ["--enable-lora", "--lora-modules", f"{wanted.name}={adapter.folder}"]
        arguments += ["--max-lora-rank", str(adapter.allowed_rank)]
        if adapter.in_tower:
            arguments.append("--enable-tower-connector-lora")
    return Command(
        engine="vllm",
        arguments=(*arguments, *wanted.extra),
        environment={"VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0", **_environment(wanted)},
        key_variable="VLLM_API_KEY",
        model=wanted.name,
        base=None if adapter is None else BASE_NAME,
        host=_seen_from_here(wanted.host),
        port=wanted.port,
    )


def transformers_command(program: str, wanted: Wanted) -> Command:
    """The ``transformers serve`` command for a model.

    It ignores ``response_format`` and ``logprobs``, asks for no key, and calls the model what it was started with.

    Raises:
        Misconfigured: there is an adapter, which it cannot load, or other machines are to reach it.
    """
    if wanted.adapter is not None:
        raise Misconfigured(
            "`transformers serve` cannot put an adapter on its base",
            hint="merge them with `xray-train merge`, and serve the merged model",
        )
    if not is_loopback(wanted.host):
        raise Misconfigured(
            f"`transformers serve` asks for no key, so it is not served at {wanted.host}",
            hint="leave --host at 127.0.0.1, or use vLLM",
        )
    where = ("--host", wanted.host, "--port", str(wanted.port))
    return Command(
        engine="transformers",
        arguments=(program, "serve", wanted.model, *where, *wanted.extra),
        environment=_environment(wanted),
        key_variable=None,
        model=wanted.model,
        base=None,
        host=_seen_from_here(wanted.host),
        port=wanted.port,
    )


def is_loopback(host: str) -> bool:
    """Whether nothing but this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _environment(wanted: Wanted) -> dict[str, str]:
    return {**_SILENT, **({"HF_HUB_OFFLINE": "1"} if wanted.is_local else {})}


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _seen_from_here(host: str) -> str:
    return _ALL_ADDRESSES.get(host, host)
