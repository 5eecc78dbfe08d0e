"""What every program here does: each of its ways of asking is tried on each scan, and where it has to fail."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model at a server.

    Attributes:
        url: the server's base URL, which ends with ``/v1``.
        key: the API key.
        model: name of the model.
    """

    url: str
    key: str = "none"
    model: str = "xray-screener"


Ask = Callable[[Endpoint, Path | None], Any]
"""Asks about a scan, or says something without one; gives words as a text, and a typed answer as plain data."""

GREETING = "Good morning."
"""What is said where there is no scan."""


def main(asks: Mapping[str, Ask], refused: Mapping[str, Ask] | None = None) -> None:
    """Do the job that the command line gives, and print what came of it as JSON.

    Args:
        asks: ways of asking by name; the first is tried on errors as well.
        refused: ways of asking that have to fail, by name.
    """
    job = json.loads(sys.argv[1])
    scans = {name: Path(path) for name, path in job["scans"].items()}
    notes = [*_answers(asks, Endpoint(job["url"]), scans), *_failures(next(iter(asks.values())), job, scans)]
    picture = next(iter(scans.values()))
    notes += [_note(name, "", ask, Endpoint(job["url"]), picture) for name, ask in (refused or {}).items()]
    print(json.dumps({"notes": notes}))


def data_uri(scan: Path) -> str:
    """A scan as a data URI."""
    return "data:image/png;base64," + base64.b64encode(scan.read_bytes()).decode("ascii")


def messages(scan: Path | None) -> list[Any]:
    """A conversation about a scan, or a greeting where there is none, as chat completions have it."""
    if scan is None:
        return [{"role": "user", "content": GREETING}]
    picture = {"type": "image_url", "image_url": {"url": data_uri(scan)}}
    return [{"role": "user", "content": [picture]}]


def _answers(asks: Mapping[str, Ask], endpoint: Endpoint, scans: Mapping[str, Path]) -> Iterator[dict[str, Any]]:
    for name, ask in asks.items():
        for scan, path in scans.items():
            yield _note(name, scan, ask, endpoint, path)


def _failures(ask: Ask, job: Mapping[str, Any], scans: Mapping[str, Path]) -> Iterator[dict[str, Any]]:
    """What has to fail, on one scan; the first call with a good key has to succeed."""
    scan, path = next(iter(scans.items()))
    endpoint, keyed = Endpoint(job["url"]), Endpoint(job["keyed_url"], job["key"])
    yield _note("unknown model", "", ask, replace(endpoint, model="no-such-model"), path)
    yield _note("no scan", "", ask, endpoint, None)
    yield _note("wrong key", "", ask, replace(keyed, key="wrong"), path)
    yield _note("right key", scan, ask, keyed, path)
    yield _note("too often", "", ask, keyed, path)


def _note(name: str, scan: str, ask: Ask, endpoint: Endpoint, path: Path | None) -> dict[str, Any]:
    try:
        return {"asked": name, "scan": scan, "value": ask(endpoint, path)}
    except Exception as error:
        kinds = [kind.__name__ for one in _and_causes(error) for kind in type(one).__mro__]
        return {"asked": name, "scan": scan, "raised": kinds, "text": str(error)}


def _and_causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, then what it was raised from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__
