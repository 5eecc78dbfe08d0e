"""What is asked of an engine on this machine: which models it serves, and what one of them says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any


class NoAnswer(Exception):
    """The engine does not answer, or not as it should."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An engine that listens.

    Attributes:
        host: its address.
        port: its port.
        key: its key, if it wants one.
    """

    host: str
    port: int
    key: str | None = None

    def models(self, *, timeout_s: float = 5.0) -> list[str]:
        """What the models are called that it serves.

        Raises:
            NoAnswer: it does not say.
        """
        answer = self._ask("GET", "/v1/models", None, timeout_s)
        try:
            return [str(model["id"]) for model in answer["data"]]
        except (KeyError, TypeError) as error:
            raise NoAnswer("its list of models cannot be read") from error

    def complete(self, request: Mapping[str, Any], *, timeout_s: float) -> Mapping[str, Any]:
        """The answer to a chat completion.

        Raises:
            NoAnswer: there is none.
        """
        return self._ask("POST", "/v1/chat/completions", request, timeout_s)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None, timeout_s: float) -> Mapping[str, Any]:
        headers = {"Content-Type": "application/json"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        connection = HTTPConnection(self.host, self.port, timeout=timeout_s)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, HTTPException) as error:
            raise NoAnswer(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise NoAnswer(f"status {response.status}: {content[:300].decode(errors='replace')}")
        try:
            answer = json.loads(content)
        except ValueError as error:
            raise NoAnswer("its answer is no JSON") from error
        if not isinstance(answer, dict):
            raise NoAnswer("its answer is no JSON object")
        return answer
