from __future__ import annotations

import hashlib
import io
import json
import re
import stat
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from xray_training.commands.download import download
from xray_training.datasets.download import DownloadError, Patience, fetch, file_name, new_client
from xray_training.datasets.hub import dataset_called, fetch_dataset
from xray_training.datasets.luggage_xray import SOURCE as LUGGAGE
from xray_training.datasets.luggage_xray import picture_names, read, urls_of
from xray_training.datasets.record import DatasetError
from xray_training.datasets.sources import SOURCES
from xray_training.datasets.unpack import unpack

from tests.training.datasets.trees import luggage_xray_tree

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()


# --- a server that misbehaves as it is told


@dataclass
class Answer:
    """How the server answers one request; afterwards it behaves."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    promise: int | None = None
    give: int | None = None


@dataclass
class Hosted:
    """A file on the server, how it is served, and what was asked for."""

    content: bytes = CONTENT
    etag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    always: Answer | None = None
    asked: list[dict[str, str]] = field(default_factory=list)

    def next_answer(self) -> Answer:
        return self.always or (self.answers.pop(0) if self.answers else Answer())


class Site(ThreadingHTTPServer):
    """Files by their path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, Hosted] = {}

    def host(self, path: str, hosted: Hosted) -> str:
        self.files[path] = hosted
        return self.url + path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hosted = cast(Site, self.server).files.get(self.path.split("?")[0])
        if hosted is None:
            self.send_error(404)
            return
        hosted.asked.append(dict(self.headers))
        answer = hosted.next_answer()
        if answer.status is not None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            return
        self._serve(hosted, answer)

    def _serve(self, hosted: Hosted, answer: Answer) -> None:
        start = self._start(hosted)
        if start is not None and start >= len(hosted.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(hosted.content)}")
            self.end_headers()
            return
        body = hosted.content[start or 0 :]
        if answer.give is not None and start is not None:
            body = body[: answer.give]
        self.send_response(200 if start is None else 206)
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(hosted.content)}")
        if hosted.etag:
            self.send_header("ETag", hosted.etag)
        if hosted.modified:
            self.send_header("Last-Modified", hosted.modified)
        for name, value in hosted.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if answer.promise is None else answer.promise))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body if answer.cut_after is None else body[: answer.cut_after])

    def _start(self, hosted: Hosted) -> int | None:
        """Where a part that was asked for starts; None for the whole."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if asked is None or not hosted.ranges or condition not in (None, hosted.etag, hosted.modified):
            return None
        return int(asked[1])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@dataclass
class Waits:
    """What was waited for, without waiting."""

    asked: list[float] = field(default_factory=list)

    def patience(self, attempts: int = 4) -> Patience:
        return Patience(attempts=attempts, wait=self.asked.append)


def get(url: str, target: Path, *, sha256: str | None = None, patience: Patience | None = None) -> Path:
    with new_client() as client:
        return fetch(url, target, client=client, sha256=sha256, patience=patience or Waits().patience())


def only(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- one file


def test_a_file_arrives_whole_and_leaves_nothing_beside_it(site: Site, tmp_path: Path) -> None:
    heard: list[tuple[int, int | None]] = []
    url = site.host("/a.zip", Hosted())
    with new_client() as client:
        fetch(url, tmp_path / "new/a.zip", client=client, sha256=SHA256.upper(), progress=lambda *at: heard.append(at))
    assert (tmp_path / "new/a.zip").read_bytes() == CONTENT
    assert only(tmp_path / "new") == ["a.zip"]
    assert heard[-1] == (len(CONTENT), len(CONTENT))


def test_a_file_that_is_there_is_not_asked_for(site: Site, tmp_path: Path) -> None:
    hosted = Hosted()
    url = site.host("/a", hosted)
    (tmp_path / "a").write_bytes(CONTENT)
    get(url, tmp_path / "a", sha256=SHA256)
    assert hosted.asked == []


def test_a_file_that_is_there_with_another_checksum_is_not_overwritten(site: Site, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    with pytest.raises(DownloadError, match=r"move .* away"):
        get(site.host("/a", Hosted()), tmp_path / "a", sha256=SHA256)
    assert (tmp_path / "a").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("etag", "modified", "condition"),
    [('"one"', None, '"one"'), ('W/"weak"', formatdate(0, usegmt=True), formatdate(0, usegmt=True))],
)
def test_a_connection_that_is_cut_goes_on_where_it_was(
    etag: str, modified: str | None, condition: str, site: Site, tmp_path: Path
) -> None:
    hosted = Hosted(etag=etag, modified=modified, answers=[Answer(cut_after=40_000), Answer(cut_after=30_000)])
    waits = Waits()
    get(site.host("/a", hosted), tmp_path / "a", sha256=SHA256, patience=waits.patience(attempts=2))
    assert [request.get("Range") for request in hosted.asked] == [None, "bytes=40000-", "bytes=70000-"]
    assert {request.get("If-Range") for request in hosted.asked[1:]} == {condition}
    assert waits.asked == [1.0, 1.0]  # each attempt got further, so patience was renewed


def test_a_later_run_goes_on_with_what_an_earlier_one_left(site: Site, tmp_path: Path) -> None:
    hosted = Hosted(answers=[Answer(cut_after=40_000)])
    url = site.host("/a", hosted)
    with pytest.raises(DownloadError, match="run this again to go on"):
        get(url, tmp_path / "a", patience=Waits().patience(attempts=1))
    assert only(tmp_path) == ["a.part", "a.part.json"]
    get(url, tmp_path / "a")
    assert hosted.asked[1]["Range"] == "bytes=40000-"
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_file_that_changed_in_between_is_fetched_anew(site: Site, tmp_path: Path) -> None:
    url = site.host("/a", Hosted(answers=[Answer(cut_after=40_000)]))
    with pytest.raises(DownloadError):
        get(url, tmp_path / "a", patience=Waits().patience(attempts=1))
    newer = bytes(reversed(CONTENT))
    site.host("/a", Hosted(content=newer, etag='"two"'))
    get(url, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == newer


def test_a_part_of_another_url_is_not_gone_on_with(site: Site, tmp_path: Path) -> None:
    url = site.host("/a", Hosted(answers=[Answer(cut_after=40_000)]))
    with pytest.raises(DownloadError):
        get(url, tmp_path / "a", patience=Waits().patience(attempts=1))
    other = Hosted(content=CONTENT[::-1])
    get(site.host("/b", other), tmp_path / "a")
    assert "Range" not in other.asked[0]
    assert (tmp_path / "a").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("hosted", [Hosted(ranges=False), Hosted(etag=None)])
def test_a_server_that_gives_no_parts_or_vouches_for_none_is_asked_for_the_whole_again(
    hosted: Hosted, site: Site, tmp_path: Path
) -> None:
    hosted.answers = [Answer(cut_after=40_000)]
    get(site.host("/a", hosted), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_checksum_allows_going_on_where_the_server_vouches_for_nothing(site: Site, tmp_path: Path) -> None:
    hosted = Hosted(etag=None, answers=[Answer(cut_after=40_000)])
    get(site.host("/a", hosted), tmp_path / "a", sha256=SHA256)
    assert hosted.asked[1]["Range"] == "bytes=40000-"
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_part_shorter_than_was_asked_for_is_not_taken_for_the_rest(site: Site, tmp_path: Path) -> None:
    hosted = Hosted(answers=[Answer(cut_after=40_000), Answer(give=20_000)])
    heard: list[tuple[int, int | None]] = []
    with new_client() as client:
        url = site.host("/a", hosted)
        fetch(
            url,
            tmp_path / "a",
            client=client,
            patience=Waits().patience(),
            progress=lambda *at: heard.append(at),
        )
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert [request.get("Range") for request in hosted.asked] == [None, "bytes=40000-", "bytes=60000-"]
    assert {total for _, total in heard} == {len(CONTENT)}


def test_a_folder_in_the_place_of_the_file_is_told(site: Site, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for sha256 in (SHA256, None):
        with pytest.raises(DownloadError, match="is a folder"):
            get(site.host("/a", Hosted()), tmp_path / "a", sha256=sha256)


def test_a_part_that_was_whole_already_is_kept(site: Site, tmp_path: Path) -> None:
    url = site.host("/a", Hosted())
    (tmp_path / "a.part").write_bytes(CONTENT)
    (tmp_path / "a.part.json").write_text(json.dumps({"url": url, "validator": '"one"'}), encoding="utf-8")
    get(url, tmp_path / "a", sha256=SHA256)
    assert only(tmp_path) == ["a"]


def test_a_part_longer_than_the_file_is_thrown_away(site: Site, tmp_path: Path) -> None:
    url = site.host("/a", Hosted())
    (tmp_path / "a.part").write_bytes(CONTENT * 2)
    (tmp_path / "a.part.json").write_text(json.dumps({"url": url, "validator": '"one"'}), encoding="utf-8")
    get(url, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_another_part_than_was_asked_for_is_thrown_away(site: Site, tmp_path: Path) -> None:
    astray = {"Content-Range": "bytes 7-9/10", "ETag": '"one"'}
    hosted = Hosted(answers=[Answer(cut_after=40_000), Answer(status=206, headers=astray)])
    get(site.host("/a", hosted), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT


@settings(max_examples=30)
@given(cuts=st.lists(st.integers(0, len(CONTENT) - 1), max_size=6), ranges=st.booleans())
def test_however_often_it_is_cut_the_file_is_the_same(
    cuts: list[int], ranges: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            hosted = Hosted(ranges=ranges, answers=[Answer(cut_after=cut) for cut in cuts])
            target = tmp_path_factory.mktemp("cut") / "a"
            get(server.host("/a", hosted), target, patience=Waits().patience(attempts=8))
            assert target.read_bytes() == CONTENT
        finally:
            server.shutdown()
            thread.join()


# --- what goes wrong


def test_a_wrong_checksum_is_told_with_both_and_nothing_is_kept(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as caught:
        get(site.host("/a", Hosted()), tmp_path / "a", sha256="0" * 64)
    assert SHA256 in str(caught.value)
    assert "0" * 64 in str(caught.value)
    assert only(tmp_path) == []


def test_a_length_that_was_promised_and_never_comes_is_told(site: Site, tmp_path: Path) -> None:
    hosted = Hosted(ranges=False, always=Answer(promise=len(CONTENT) + 5))
    with pytest.raises(DownloadError, match=f"cut off after {len(CONTENT)} bytes"):
        get(site.host("/a", hosted), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_length_shorter_than_the_file_is_found_out_by_the_checksum(site: Site, tmp_path: Path) -> None:
    hosted = Hosted(always=Answer(promise=len(CONTENT) - 5))
    with pytest.raises(DownloadError, match="SHA-256"):
        get(site.host("/a", hosted), tmp_path / "a", sha256=SHA256)


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "without permission"), (403, "without permission"), (404, "not there"), (410, "not there"), (418, "418")],
)
def test_a_refusal_is_told_at_once(status: int, said: str, site: Site, tmp_path: Path) -> None:
    hosted = Hosted(always=Answer(status=status))
    with pytest.raises(DownloadError, match=said):
        get(site.host("/a", hosted), tmp_path / "a")
    assert len(hosted.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_trouble_that_passes_is_waited_out_longer_each_time(status: int, site: Site, tmp_path: Path) -> None:
    waits = Waits()
    hosted = Hosted(answers=[Answer(status=status)] * 3)
    get(site.host("/a", hosted), tmp_path / "a", patience=waits.patience())
    assert waits.asked == [1.0, 2.0, 4.0]
    assert (tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.parametrize(("status", "said"), [(429, "limits how often"), (503, "has trouble")])
def test_trouble_that_does_not_pass_is_told(status: int, said: str, site: Site, tmp_path: Path) -> None:
    hosted = Hosted(always=Answer(status=status))
    with pytest.raises(DownloadError, match=said):
        get(site.host("/a", hosted), tmp_path / "a")
    assert len(hosted.asked) == 4


def test_what_the_server_asks_to_wait_is_waited(site: Site, tmp_path: Path) -> None:
    waits = Waits()
    dated = formatdate(time.time() + 60, usegmt=True)
    zoneless = formatdate(time.time() + 60)
    assert zoneless.endswith("-0000")
    answers = [Answer(status=429, headers={"Retry-After": after}) for after in ("7", dated, "soon", "0", zoneless)]
    get(site.host("/a", Hosted(answers=answers)), tmp_path / "a", patience=waits.patience(attempts=6))
    assert waits.asked == pytest.approx([7.0, 60.0, 4.0, 0.0, 60.0], abs=3)


def test_a_server_that_asks_to_wait_for_hours_is_given_up(site: Site, tmp_path: Path) -> None:
    waits = Waits()
    hosted = Hosted(always=Answer(status=429, headers={"Retry-After": "7200"}))
    with pytest.raises(DownloadError, match="wait 7200 s"):
        get(site.host("/a", hosted), tmp_path / "a", patience=waits.patience())
    assert waits.asked == []


def test_a_machine_that_is_offline_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Site() as closed:
        url = closed.url + "/a"
    with pytest.raises(DownloadError, match="cannot be reached"):
        get(url, tmp_path / "a")


def test_a_redirection_is_followed_and_a_circle_is_not(site: Site, tmp_path: Path) -> None:
    site.host("/b", Hosted())
    get(site.host("/a", Hosted(always=Answer(status=302, headers={"Location": "/b"}))), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    with pytest.raises(DownloadError, match="in circles"):
        get(site.host("/c", Hosted(always=Answer(status=302, headers={"Location": "/c"}))), tmp_path / "c")


@pytest.mark.parametrize("url", ["ftp://example.org/a", "file:///etc/passwd", "http://", "a"])
def test_only_http_is_spoken(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError):
        get(url, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_disk_without_room_is_told_before_anything_is_written(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: _Usage(1, 1, 1000))
    with pytest.raises(DownloadError, match="make room"):
        get(site.host("/a", Hosted()), tmp_path / "a")


@dataclass
class _Usage:
    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/sets/a%20b.zip?download=1", "a_b.zip"),
        ("https://example.org/sets/", "sets"),
        ("https://example.org", "download"),
        ("https://example.org/..", "download"),
        ("https://example.org/a%2F..%2Fb", "a_.._b"),
    ],
)
def test_a_file_is_named_by_its_url_and_stays_in_its_folder(url: str, name: str) -> None:
    assert file_name(url) == name


# --- archives


def zipped(path: Path, *names: str, mode: int = 0o644) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFREG | mode) << 16
            archive.writestr(entry, f"in {name}")
    return path


def tarred(path: Path, *names: str, link: str | None = None) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = 3
            archive.addfile(entry, io.BytesIO(b"abc"))
        if link:
            entry = tarfile.TarInfo("link")
            entry.type, entry.linkname = tarfile.SYMTYPE, link
            archive.addfile(entry)
    return path


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_is_unpacked_once_into_a_folder_of_its_name(kind: str, tmp_path: Path) -> None:
    archive = (zipped if kind == "zip" else tarred)(tmp_path / f"set.v1.{kind}", "a/b.txt", "c.txt")
    folder = unpack(archive, tmp_path)
    assert folder == tmp_path / "set.v1"
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("[!.]*")) == ["a", "a/b.txt", "c.txt"]
    (folder / "c.txt").write_text("changed", encoding="utf-8")
    unpack(archive, tmp_path)
    assert (folder / "c.txt").read_text(encoding="utf-8") == "changed"


@pytest.mark.parametrize(
    "make",
    [
        lambda root: zipped(root / "a.zip", "fine.txt", "../escaped.txt"),
        lambda root: zipped(root / "a.zip", "/tmp/escaped.txt"),
        lambda root: tarred(root / "a.tar.gz", "fine.txt", "../escaped.txt"),
        lambda root: tarred(root / "a.tar.gz", "fine.txt", link="/etc/passwd"),
        lambda root: tarred(root / "a.tar.gz", "fine.txt", link="../../escaped"),
    ],
)
def test_an_archive_that_reaches_out_of_its_folder_is_refused_whole(make: object, tmp_path: Path) -> None:
    archive: Path = make(tmp_path)  # type: ignore[operator]
    with pytest.raises(DatasetError, match="not to be trusted"):
        unpack(archive, tmp_path)
    assert only(tmp_path) == [archive.name]


@pytest.mark.parametrize("names", [(), ("other.txt",)])
def test_a_folder_that_is_not_of_this_archive_is_not_taken_for_unpacked(names: tuple[str, ...], tmp_path: Path) -> None:
    if names:
        unpack(zipped(tmp_path / "set.zip", *names), tmp_path)
    else:
        (tmp_path / "set").mkdir()
    with pytest.raises(DatasetError, match="there already"):
        unpack(zipped(tmp_path / "set.zip", "a.txt"), tmp_path)
    assert not (tmp_path / "set/a.txt").exists()


def test_an_archive_that_lists_its_own_folder_is_unpacked(tmp_path: Path) -> None:
    folder = unpack(zipped(tmp_path / "set.zip", "./", "./a/", "./a/b.txt"), tmp_path)
    assert folder is not None
    assert (folder / "a/b.txt").is_file()


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar"])
def test_a_damaged_archive_is_told_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(DatasetError, match="fetch it again"):
        unpack(tmp_path / name, tmp_path)
    assert only(tmp_path) == [name]


def test_a_cut_archive_is_told(tmp_path: Path) -> None:
    archive = tarred(tmp_path / "a.tar.gz", *(f"{number}.txt" for number in range(500)))
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(DatasetError, match="fetch it again"):
        unpack(archive, tmp_path)


@pytest.mark.parametrize("name", ["a.rar", "a.7z"])
def test_some_archives_are_to_be_unpacked_by_hand(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="by hand"):
        unpack(tmp_path / name, tmp_path)


def test_what_is_no_archive_is_left_as_it_is(tmp_path: Path) -> None:
    assert unpack(tmp_path / "a.json", tmp_path) is None


# --- the command


def run(*arguments: object) -> Result:
    return CliRunner().invoke(download, [str(argument) for argument in arguments])


def test_the_command_fetches_checks_and_unpacks(site: Site, tmp_path: Path) -> None:
    content = zipped(tmp_path / "made.zip", "a/b.txt").read_bytes()
    url = site.host("/set.zip", Hosted(content=content))
    digest = hashlib.sha256(content).hexdigest()
    result = run(url, "--out", tmp_path / "out", "--sha256", digest)
    assert result.exit_code == 0, result.output
    assert digest in result.output
    assert (tmp_path / "out/set/a/b.txt").is_file()
    assert run(url, "--out", tmp_path / "other", "--no-unpack").exit_code == 0
    assert only(tmp_path / "other") == ["set.zip"]


@pytest.mark.parametrize("status", [403, 404, 429, 500])
def test_the_command_says_what_went_wrong_and_fails(status: int, site: Site, tmp_path: Path) -> None:
    url = site.host("/a", Hosted(always=Answer(status=status)))
    result = run(url, "--out", tmp_path, "--attempts", 1)
    assert result.exit_code == 1
    assert f"HTTP {status}" in result.output
    assert isinstance(result.exception, SystemExit)


def test_a_wrong_checksum_fails_the_command(site: Site, tmp_path: Path) -> None:
    result = run(site.host("/a", Hosted()), "--out", tmp_path, "--sha256", "f" * 64)
    assert result.exit_code == 1
    assert "SHA-256" in result.output


@pytest.mark.parametrize("name", sorted(name for name, source in SOURCES.items() if source.home and name != "stcray"))
def test_a_dataset_that_no_program_may_fetch_is_explained(name: str, tmp_path: Path) -> None:
    result = run(name, "--out", tmp_path / "out")
    said = " ".join(result.output.split())
    assert result.exit_code == 1
    for part in (SOURCES[name].home, SOURCES[name].licence, SOURCES[name].steps):
        assert " ".join(part.split()) in said


@pytest.mark.parametrize("what", ["opixry", "coco", "not a name", "http://["])
def test_what_is_nothing_to_fetch_is_refused(what: str, tmp_path: Path) -> None:
    result = run(what, "--out", tmp_path / "out")
    assert result.exit_code in (1, 2)
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("more", [["--sha256", "f" * 64], ["--annotations", __file__]])
def test_options_that_do_not_fit_are_refused(more: list[str], tmp_path: Path) -> None:
    assert run("opixray", "--out", tmp_path / "out", *more).exit_code == 2


# --- the pictures of Luggage X-ray


def luggage(site: Site, root: Path) -> Path:
    """The annotations of the fixture tree, their pictures on the server; the tree."""
    tree = luggage_xray_tree(root)
    for path in tree.glob("*.jsonl"):
        for url in urls_of(path):
            name = picture_names([url])[url]
            site.host(f"/set/{name}", Hosted(content=(tree / "images" / name).read_bytes()))
        path.write_text(path.read_text(encoding="utf-8").replace("https://images.test", site.url), encoding="utf-8")
    return tree


def test_the_pictures_of_luggage_x_ray_arrive_where_its_reader_looks(site: Site, tmp_path: Path) -> None:
    tree = luggage(site, tmp_path / "tree")
    files = [part for path in sorted(tree.glob("*.jsonl")) for part in ("--annotations", path)]
    result = run(LUGGAGE, "--out", tmp_path / "out", *files)
    assert result.exit_code == 0, result.output
    assert "3 of 3 pictures" in result.output
    there, here = list(read(tree)), list(read(tmp_path / "out"))
    assert [record.boxes for record in here] == [record.boxes for record in there]
    assert [record.image.read_bytes() for record in here] == [record.image.read_bytes() for record in there]


def test_pictures_that_fail_are_told_and_fetched_by_a_later_run(site: Site, tmp_path: Path) -> None:
    tree = luggage(site, tmp_path / "tree")
    path = next(path for path in site.files if "141" in path)
    site.files[path].answers = [Answer(status=403)]
    result = run(LUGGAGE, "--out", tmp_path / "out", "--annotations", tree / "_annotations.train.jsonl")
    assert result.exit_code == 1
    assert "1 of 2 pictures" in result.output
    assert "HTTP 403" in result.output
    assert run(LUGGAGE, "--out", tmp_path / "out").exit_code == 0
    assert len(site.files[path].asked) == 2


def test_a_folder_for_the_pictures_that_cannot_be_written_is_told(site: Site, tmp_path: Path) -> None:
    tree = luggage(site, tmp_path / "tree")
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    result = run(LUGGAGE, "--out", tmp_path / "file/out", "--annotations", tree / "_annotations.train.jsonl")
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "Not a directory" in result.output


def test_a_server_that_refuses_everything_is_not_asked_for_every_picture(site: Site, tmp_path: Path) -> None:
    refusing = Hosted(always=Answer(status=403))
    lines = []
    for number in range(200):
        url = site.host(f"/{number}.jpg", refusing)
        user = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
        lines.append(json.dumps({"messages": [user, {"role": "assistant", "content": ""}]}))
    (tmp_path / "_annotations.train.jsonl").write_text("\n".join(lines), encoding="utf-8")
    result = run(LUGGAGE, "--out", tmp_path)
    assert result.exit_code == 1
    assert "0 of 200 pictures" in result.output
    assert len(refusing.asked) < 200


def test_annotations_of_another_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("", encoding="utf-8")
    result = run(LUGGAGE, "--out", tmp_path / "out", "--annotations", tmp_path / "train.jsonl")
    assert result.exit_code == 1
    assert "_annotations.train.jsonl" in result.output


# --- the Hub


LISTING = "/api/datasets/somebody/scans/revision/main"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("somebody/scans", "somebody/scans"),
        ("https://huggingface.co/datasets/somebody/scans", "somebody/scans"),
        ("https://example.org/somebody/scans", None),
        ("scans", None),
        ("a/b/c", None),
    ],
)
def test_a_dataset_on_the_hub_is_told_by_its_name_or_page(name: str, found: str | None) -> None:
    assert dataset_called(name) == found


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            Answer(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"}),
            "accept its terms, run `hf auth login`",
        ),
        (Answer(401, {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"}), "accept its terms"),
        (Answer(404, {"X-Error-Code": "RepoNotFound"}), "not there, or private"),
        (Answer(401), "not there, or private"),
        (Answer(429), "HTTP 429"),
        (Answer(500), "HTTP 500"),
    ],
)
def test_what_the_hub_refuses_is_told_with_what_to_do(answer: Answer, said: str, site: Site, tmp_path: Path) -> None:
    site.host(LISTING, Hosted(always=answer))
    with pytest.raises(DownloadError, match=said):
        fetch_dataset("somebody/scans", tmp_path / "out", endpoint=site.url)


def test_every_file_of_a_dataset_on_the_hub_is_fetched(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    commit, blob = "a" * 40, "b" * 40
    about = {"_id": "1", "id": "somebody/scans", "sha": commit, "private": False, "gated": False, "tags": []}
    site.host(LISTING, Hosted(json.dumps(about | {"siblings": [{"rfilename": "a/data.bin"}]}).encode()))
    files = [{"type": "file", "oid": blob, "size": len(CONTENT), "path": "a/data.bin"}]
    site.host(f"/api/datasets/somebody/scans/tree/{commit}", Hosted(json.dumps(files).encode()))
    data = Hosted(etag=f'"{blob}"', headers={"X-Repo-Commit": commit})
    site.host(f"/datasets/somebody/scans/resolve/{commit}/a/data.bin", data)
    result = run("somebody/scans", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out/a/data.bin").read_bytes() == CONTENT


def test_a_hub_that_cannot_be_reached_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Site() as closed:
        url = closed.url
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetch_dataset("somebody/scans", tmp_path / "out", endpoint=url)


def test_a_gated_dataset_is_explained_by_the_command(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    answer = Answer(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
    site.host("/api/datasets/Naoufel555/STCray-Dataset/revision/main", Hosted(always=answer))
    result = run("stcray", "--out", tmp_path / "out")
    said = " ".join(result.output.split())
    assert result.exit_code == 1
    assert "accept its terms" in said
    assert " ".join(SOURCES["stcray"].steps.split()) in said
    assert SOURCES["stcray"].licence in said
