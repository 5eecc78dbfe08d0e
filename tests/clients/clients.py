"""The six clients: what each is, and where its program and its requirements lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Client:
    """One client, run in an environment of its own.

    Attributes:
        name: names its environment, its program and its requirements.
        distribution: the package whose version counts.
        has_model: whether an agent's model decides to call the tool; otherwise the program calls it.
    """

    name: str
    distribution: str
    has_model: bool

    @property
    def program(self) -> Path:
        """The script that calls the server with this client."""
        return HERE / "programs" / f"with_{self.name}.py"

    @property
    def requirements(self) -> Path:
        """The pinned packages of its environment."""
        return HERE / "requirements" / f"{self.name}.txt"


CLIENTS = (
    Client("mcp_2", "mcp", has_model=False),
    Client("mcp_1", "mcp", has_model=False),
    Client("fastmcp", "fastmcp", has_model=False),
    Client("langchain", "langchain-mcp-adapters", has_model=True),
    Client("pydantic_ai", "pydantic-ai-slim", has_model=True),
    Client("openai_agents", "openai-agents", has_model=True),
)
"""Every client, in the order of the table."""


class ClientFailed(Exception):
    """A client cannot be installed, or its program did not finish."""
