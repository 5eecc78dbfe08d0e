"""Fetching files over HTTP so that an interrupted download goes on where it was, and what arrives is what was meant."""

from __future__ import annotations

import email.utils
import errno
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx2

from xray_training.datasets.duplicates import digest_of

Progress = Callable[[int, int | None], None]
"""Hears how many bytes are there, and of how many where the server says so."""

_TIMEOUT_S = 30.0
_TOO_MANY_FAILURES = 10
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_PARTIAL, _RANGE_NOT_SATISFIABLE = 206, 416
_CONTENT_RANGE = re.compile(r"bytes (?P<start>\d+)-\d+/(?P<total>\d+|\*)")


class DownloadError(Exception):
    """A download that has failed for good; the message says what to do next."""


class _Interrupted(Exception):
    """An attempt that failed in a way that may pass."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to bear with a server.

    Attributes:
        attempts: how often to try without getting any further.
        first_wait_s: pause after the first failure; it doubles with each.
        longest_wait_s: no pause is longer, and a server that asks for a longer one is given up.
        wait: what pauses.
    """

    attempts: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 120.0
    wait: Callable[[float], None] = field(default=time.sleep)


def new_client() -> httpx2.Client:
    """A client for :func:`fetch`; threads may share one."""
    return httpx2.Client(follow_redirects=True, timeout=_TIMEOUT_S, headers={"Accept-Encoding": "identity"})


def file_name(url: str) -> str:
    """The last part of a URL's path, without what a file system may trip over.

    Raises:
        DownloadError: that is no URL.
    """
    try:
        path = urlsplit(url).path
    except ValueError as error:
        raise DownloadError(f"{url} is no URL: {error}") from error
    name = unquote(path.rstrip("/").rsplit("/", 1)[-1])
    return re.sub(r"[^\w.+-]", "_", name).lstrip(".") or "download"


def fetch(
    url: str,
    target: Path,
    *,
    client: httpx2.Client,
    sha256: str | None = None,
    patience: Patience = Patience(),
    progress: Progress = lambda done, total: None,
) -> Path:
    """Fetch a file, unless it is there.

    What has arrived lies in ``NAME.part`` until it is whole. An attempt goes on with it only where the server vouches,
    by an entity tag or a date, that the file is still the same, or a checksum will tell; otherwise it begins anew.

    Args:
        url: ``http://`` or ``https://``.
        target: the file to write; its folder is made.
        client: from :func:`new_client`.
        sha256: what the file's SHA-256 must be, in hexadecimal.
        patience: how often to try, and how long to wait.
        progress: hears of every chunk.

    Returns:
        ``target``.

    Raises:
        DownloadError: the server refuses, cannot be reached or keeps failing; the disk is full; the checksum is wrong;
            a folder has the file's name.
    """
    if target.is_dir():
        raise DownloadError(f"{target} is a folder, and the file has its name: choose another --out")
    if target.exists():
        _check(target, target, sha256, f"move {target} away to fetch it anew")
        return target
    part = _Part(target, url, trusted=sha256 is not None)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _persist(client, part, patience, progress)
        try:
            _check(part.path, target, sha256, "the file has changed, or the checksum is of another one")
        except DownloadError:
            part.discard()
            raise
        part.finish()
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DownloadError(f"the disk of {target.parent} is full: make room and run this again") from error
        raise DownloadError(f"{target} cannot be written: {error.strerror or error}") from error
    return target


def fetch_all(
    urls: Mapping[Path, str], *, client: httpx2.Client, patience: Patience, at_once: int = 8
) -> Iterator[DownloadError | None]:
    """Fetch many files, several at once, and yield for each why it failed, or None.

    Ten failures in a row end it: then something is wrong with more than a file.

    Args:
        urls: what to fetch to where.
        client: from :func:`new_client`.
        patience: with each file.
        at_once: how many to fetch at a time.
    """
    with ThreadPoolExecutor(at_once) as pool:
        jobs = [pool.submit(fetch, url, target, client=client, patience=patience) for target, url in urls.items()]
        failures = 0
        try:
            for job in as_completed(jobs):
                error = job.exception()
                if error is not None and not isinstance(error, DownloadError):
                    raise error
                failures = failures + 1 if error else 0
                yield error
                if failures == _TOO_MANY_FAILURES:
                    return
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _Part:
    """A file that is arriving, and what the server said to tell it from a later one."""

    def __init__(self, target: Path, url: str, *, trusted: bool) -> None:
        self._target = target
        self.url = url
        self._trusted = trusted
        self.path = target.with_name(f"{target.name}.part")
        self._notes = target.with_name(f"{target.name}.part.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def headers(self) -> dict[str, str]:
        """What asks for the rest; nothing where that would not be safe."""
        validator = self._validator()
        if not self.size or not (validator or self._trusted):
            return {}
        asked = {"Range": f"bytes={self.size}-"}
        return {**asked, "If-Range": validator} if validator else asked

    def begin(self, headers: httpx2.Headers) -> None:
        """Start anew with the file that these headers describe."""
        self.discard()
        tag = headers.get("ETag", "")
        validator = tag if tag.startswith('"') else headers.get("Last-Modified", "")
        self._notes.write_text(json.dumps({"url": self.url, "validator": validator}), encoding="utf-8")

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def finish(self) -> None:
        os.replace(self.path, self._target)
        self._notes.unlink(missing_ok=True)

    def _validator(self) -> str:
        try:
            notes = json.loads(self._notes.read_text(encoding="utf-8"))
            return str(notes["validator"]) if notes["url"] == self.url else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""


def _persist(client: httpx2.Client, part: _Part, patience: Patience, progress: Progress) -> None:
    """Try until the file is whole or patience is at its end; getting further renews it."""
    furthest, failures = part.size, 0
    while True:
        try:
            _attempt(client, part, progress)
            return
        except _Interrupted as error:
            failures = 1 if part.size > furthest else failures + 1
            furthest = max(furthest, part.size)
            if failures >= patience.attempts:
                raise DownloadError(f"{error}; run this again to go on") from error
            pause = min(patience.first_wait_s * 2 ** (failures - 1), patience.longest_wait_s)
            if error.retry_after is not None:
                if error.retry_after > patience.longest_wait_s:
                    said = f"and asks to wait {error.retry_after:.0f} s: run this again after that"
                    raise DownloadError(f"{error} {said}") from error
                pause = error.retry_after
            patience.wait(pause)


def _attempt(client: httpx2.Client, part: _Part, progress: Progress) -> None:
    url = part.url
    try:
        with client.stream("GET", url, headers=part.headers()) as response:
            if response.status_code == _RANGE_NOT_SATISFIABLE:
                if response.headers.get("Content-Range") == f"bytes */{part.size}":
                    return
                part.discard()
                raise _Interrupted(f"{url}: what had arrived is not part of the file any more")
            _refuse(response, url)
            _receive(response, part, progress)
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
        raise DownloadError(f"{url} is no http:// or https:// URL") from error
    except httpx2.TooManyRedirects as error:
        raise DownloadError(f"{url} redirects in circles: look at it in a browser") from error
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        host = urlsplit(url).hostname
        raise _Interrupted(f"{host} cannot be reached ({error}): is this machine online?") from error
    except (httpx2.TransportError, httpx2.DecodingError) as error:
        raise _Interrupted(f"{url} was cut off after {part.size} bytes ({type(error).__name__})") from error


def _refuse(response: httpx2.Response, url: str) -> None:
    """Stop where the server does not give the file."""
    status = response.status_code
    if urlsplit(url).scheme == "https" and response.url.scheme != "https":
        raise DownloadError(f"{url} leads to {response.url}, which is not encrypted: fetch it by hand if you trust it")
    if status in (401, 403):
        raise DownloadError(f"{url} may not be fetched without permission (HTTP {status}): ask for access at its home")
    if status in (404, 410):
        raise DownloadError(f"{url} is not there (HTTP {status}): look for its new address at its home")
    if status in _TRY_AGAIN:
        reason = "limits how often it is asked" if status == 429 else "has trouble"
        host = urlsplit(url).hostname
        raise _Interrupted(f"{host} {reason} (HTTP {status})", _seconds(response.headers.get("Retry-After")))
    if not response.is_success:
        raise DownloadError(f"{url} cannot be fetched (HTTP {status}): look at it in a browser")


def _receive(response: httpx2.Response, part: _Part, progress: Progress) -> None:
    packed = response.headers.get("Content-Encoding", "identity") != "identity"
    if response.status_code == _PARTIAL:
        total = _whole(response, part)
    else:
        part.begin(response.headers)
        length = response.headers.get("Content-Length", "")
        total = None if packed or not length.isdecimal() else int(length)
    free = shutil.disk_usage(part.path.parent).free
    if total is not None and total - part.size > free:
        needed = f"{(total - part.size) / 1e6:.0f} MB are to come, {free / 1e6:.0f} MB are free"
        raise DownloadError(f"the disk of {part.path.parent} is too full: {needed}; make room and run this again")
    done = part.size
    with part.path.open("ab") as file:  # chunks as they come: a fixed size would lose what arrived of the last one
        for chunk in response.iter_bytes() if packed else response.iter_raw():
            file.write(chunk)
            done += len(chunk)
            progress(done, total)
    if total is not None and done < total:
        raise _Interrupted(f"{response.url} gave {done} of {total} bytes")


def _whole(response: httpx2.Response, part: _Part) -> int | None:
    """The size of the file that a part is of; None where the server does not say.

    Raises:
        _Interrupted: the part does not go on where the file is.
    """
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None or int(match["start"]) != part.size:
        part.discard()
        raise _Interrupted(f"{response.url} gave another part than was asked for")
    return None if match["total"] == "*" else int(match["total"])


def _seconds(retry_after: str | None) -> float | None:
    """The seconds that a Retry-After header asks for, which may be a date; None where it says nothing of sense."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        moment = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _check(path: Path, target: Path, sha256: str | None, advice: str) -> None:
    if sha256 is not None and (found := digest_of(path)) != sha256.lower():
        raise DownloadError(f"{target.name} has the SHA-256 {found}, not {sha256.lower()}: {advice}")
