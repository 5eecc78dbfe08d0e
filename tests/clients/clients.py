"""The clients: what each is, and where its program and its requirements lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Client:
    """One client, run in an environment of its own.

    Attributes:
        name: names its environment, its program and its requirements.
        distribution: the package whose version counts.
        speaks: ``mcp``, the Model Context Protocol, or ``chat``, OpenAI's API.
        has_model: whether an agent's model decides to call the tool; otherwise the program calls it.
    """

    name: str
    distribution: str
    speaks: Literal["mcp", "chat"] = "mcp"
    has_model: bool = False

    @property
    def module(self) -> str:
        """The program that calls the server with this client."""
        return f"tests.clients.programs.{self.speaks}.with_{self.name}"

    @property
    def program(self) -> Path:
        """The file of the program."""
        return HERE / "programs" / self.speaks / f"with_{self.name}.py"

    @property
    def requirements(self) -> Path:
        """The pinned packages of its environment."""
        return HERE / "requirements" / self.speaks / f"{self.name}.txt"


MCP_CLIENTS = (
    Client("mcp_2", "mcp"),
    Client("mcp_1", "mcp"),
    Client("fastmcp", "fastmcp"),
    Client("langchain", "langchain-mcp-adapters", has_model=True),
    Client("pydantic_ai", "pydantic-ai-slim", has_model=True),
    Client("openai_agents", "openai-agents", has_model=True),
)
"""Every client of the Model Context Protocol, in the order of the table."""

CHAT_CLIENTS = (
    Client("openai_python", "openai", "chat"),
    Client("langchain", "langchain-openai", "chat"),
    Client("pydantic_ai", "pydantic-ai-slim", "chat"),
    Client("openai_agents", "openai-agents", "chat"),
    Client("litellm", "litellm", "chat"),
    Client("instructor", "instructor", "chat"),
    Client("smolagents", "smolagents", "chat"),
    Client("llm", "llm", "chat"),
)
"""Every client of OpenAI's API, in the order of the table."""


class ClientFailed(Exception):
    """A client cannot be installed, or its program did not finish."""
