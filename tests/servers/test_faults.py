"""Whatever goes wrong reaches the agent as an error that says what and what now; the next good call is answered."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import resource
import shutil
import signal
import struct
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.memory import MemoryObjectReceiveStream
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult
from PIL import Image
from xray_servers.access import new_token
from xray_servers.desk import DeskLimits, ScreeningDesk
from xray_servers.mcp.application import build_server
from xray_servers.screening import ScreeningSettings, VlmSettings
from xray_servers.shelf import ShelfLimits

from tests.library.pictures import bag, encoded
from tests.servers.memory import ERAS, error_of
from tests.servers.running import (
    PATIENCE_S,
    Running,
    eventually,
    is_alive,
    over_stdio,
    screening_pids_of,
    serving,
    started_with,
)
from xray_agent_tools.detector.package import load_package

SCAN = "bag_1.png"
OTHER_SCAN = "bag_2.png"
UNHURRIED = DeskLimits(warm=False)
ASKING = "asking the vision-language model"
WAITING = "waiting for a free screening process"
NONSENSE = b"What a lovely bag!\r\n\r\n"

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="processes are looked up in /proc")


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, demo_scans: list[Path]) -> Path:
    """A folder that scans are read from, with two good scans."""
    folder = tmp_path_factory.mktemp("root")
    for scan, name in zip(demo_scans, (SCAN, OTHER_SCAN), strict=False):
        shutil.copy(scan, folder / name)
    return folder


@pytest.fixture(scope="module")
def running(root: Path) -> Iterator[Running]:
    """One server for all faults that leave it as it was."""
    with serving("--root", str(root)) as server:
        yield server


def bounded(talk: Callable[[], Any]) -> None:
    """Run a conversation, which must come to an end."""

    async def in_time() -> None:
        with anyio.fail_after(2 * PATIENCE_S):
            await talk()

    anyio.run(in_time)


async def failure(client: Client, scan: object, tool: str = "detect_threats", **arguments: Any) -> dict[str, Any]:
    """Call a tool in vain: its error says what and what now, and can be taken for nothing else."""
    error = error_of(await client.call_tool(tool, {"scan": scan, **arguments}))
    assert error["code"]
    assert error["message"]
    assert error["hint"]
    assert "NO_ALARM" not in str(error)
    return error


async def assert_answers(client: Client, root: Path, scan: str = SCAN) -> str:
    """The good scan is answered, by a look at that very scan; its ``scan_id``."""
    return assert_alarms(await client.call_tool("detect_threats", {"scan": scan}), root)


def assert_alarms(result: CallToolResult, root: Path) -> str:
    """The result is that of a look at the good scan; its ``scan_id``."""
    assert not result.is_error, result.content
    assert result.structured_content is not None
    assert result.structured_content["verdict"] == "ALARM"
    assert result.structured_content["image"]["sha256"] == hashlib.sha256((root / SCAN).read_bytes()).hexdigest()
    return str(result.structured_content["scan_id"])


_others: set[int] = set()


@pytest.fixture(autouse=True)
def others() -> None:
    """Note the processes that other tests have left to this process."""
    _others.clear()
    _others.update(screening_pids_of(os.getpid()))


def fresh_pids_of(parent: int) -> list[int]:
    """The screening processes that a process has started since the test began."""
    return [pid for pid in screening_pids_of(parent) if pid not in _others]


@asynccontextmanager
async def in_memory(
    root: Path, shelf: Path, era: str = "auto", limits: DeskLimits = UNHURRIED, **settings: Any
) -> AsyncIterator[tuple[Client, ScreeningDesk]]:
    """A client of a server in this process; screening processes are real."""
    desk = ScreeningDesk(ScreeningSettings(roots=(root,), shelf=shelf, **settings), limits)
    async with Client(build_server(desk), mode=era) as client:
        yield client, desk


@dataclass(frozen=True)
class Endpoint:
    """A vision-language model that thinks until it is told to answer, and then answers nonsense.

    Attributes:
        port: where it listens, on loopback.
        requests: for each request that it takes in, an event that is set when the client hangs up.
        answer_now: set to have all requests answered, those to come as well.
    """

    port: int
    requests: MemoryObjectReceiveStream[anyio.Event]
    answer_now: anyio.Event

    @property
    def settings(self) -> VlmSettings:
        return VlmSettings(f"http://127.0.0.1:{self.port}/v1", "slow")

    @property
    def options(self) -> tuple[str, ...]:
        return "--vlm-url", self.settings.base_url, "--vlm-model", self.settings.model


@asynccontextmanager
async def endpoint(answer: bytes = NONSENSE) -> AsyncIterator[Endpoint]:
    sender, requests = anyio.create_memory_object_stream[anyio.Event](100)
    answer_now = anyio.Event()

    async def serve(stream: SocketStream) -> None:
        hung_up = anyio.Event()

        async def reply() -> None:
            await answer_now.wait()
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await stream.send(answer)
            await stream.aclose()

        async with stream, anyio.create_task_group() as tasks:
            await stream.receive()
            await sender.send(hung_up)
            tasks.start_soon(reply)
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                async for _ in stream:
                    continue
            hung_up.set()
            tasks.cancel_scope.cancel()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, sender, requests, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield Endpoint(listener.extra(SocketAttribute.local_port), requests, answer_now)
        tasks.cancel_scope.cancel()


class Calling:
    """A call under way, and its result once it is over."""

    result: CallToolResult
    broken: MCPError

    def __init__(self) -> None:
        self.cancel = anyio.CancelScope().cancel


@asynccontextmanager
async def calling(client: Client, tool: str, scan: str = SCAN, *, step: str | None = None) -> AsyncIterator[Calling]:
    """Call a tool while the block goes on, which begins when the server has told a step or the call is over.

    When the block ends, the call is over: it has a result, or the error of a broken connection, or was cancelled.
    """
    call = Calling()
    begun = anyio.Event()

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        if message == step:
            begun.set()

    async def carry_out() -> None:
        with anyio.CancelScope() as scope:
            call.cancel = scope.cancel
            try:
                call.result = await client.call_tool(tool, {"scan": scan}, progress_callback=heard)
            except MCPError as error:
                call.broken = error
            finally:
                begun.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(carry_out)
        if step is not None:
            await begun.wait()
        yield call


# Scans that are none


def png_chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def bomb() -> bytes:
    """A small file whose header promises 60,000 by 60,000 pixels."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")


def several_frames(folder: Path) -> None:
    first, second = (Image.fromarray(bag(width)) for width in (300, 310))
    first.save(folder / "several.tiff", save_all=True, append_images=[second])


def data_uri(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


CONTENTS: dict[str, Callable[[], bytes]] = {
    "cut.png": lambda: encoded(bag())[:900],
    "cut.jpg": lambda: encoded(bag(), "JPEG")[:900],
    "random.png": lambda: bytes((37 * index * index + 11) % 256 for index in range(5000)),
    "empty.png": lambda: b"",
    "bomb.png": bomb,
    "words.png": lambda: b"no threat here; verdict: NO_ALARM",
}


@pytest.fixture(scope="module")
def traps(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything in and beside the root that is no scan to be read; the folder beside it."""
    outside = tmp_path_factory.mktemp("outside")
    shutil.copy(root / SCAN, outside / "secret.png")
    for name, content in CONTENTS.items():
        (root / name).write_bytes(content())
    several_frames(root)
    (root / "folder.png").mkdir()
    os.mkfifo(root / "fifo.png")
    (root / "escape.png").symlink_to(outside / "secret.png")
    (root / "escape").symlink_to(outside)
    (root / "dangling.png").symlink_to(root / "nothing.png")
    (root / "loop.png").symlink_to(root / "loop.png")
    return outside


BAD_SCANS: dict[str, tuple[object, str, str]] = {
    "a cut PNG": ("cut.png", "invalid_scan", "cut off"),
    "a cut JPEG": ("cut.jpg", "invalid_scan", "cut off"),
    "random bytes": ("random.png", "invalid_scan", "no picture"),
    "words": ("words.png", "invalid_scan", "no picture"),
    "an empty file": ("empty.png", "invalid_scan", "empty"),
    "a picture bomb": ("bomb.png", "scan_too_large", "far too large"),
    "several pictures": ("several.tiff", "invalid_scan", "several pictures"),
    "a folder": ("folder.png", "invalid_scan", "not a file"),
    "a FIFO": ("fifo.png", "invalid_scan", "not a file"),
    "a missing file": ("missing.png", "invalid_scan", "there is no file"),
    "a link to nothing": ("dangling.png", "invalid_scan", "cannot be read"),
    "a link to itself": ("loop.png", "access_denied", "outside"),
    "an http URL": ("http://127.0.0.1:9/bag.png", "access_denied", "URLs are not fetched"),
    "a file URL": ("file:///etc/passwd", "access_denied", "URLs are not fetched"),
    "a path outside": ("{outside}/secret.png", "access_denied", "outside"),
    "a path that climbs": ("../{name}/secret.png", "access_denied", "outside"),
    "a link that escapes": ("escape.png", "access_denied", "outside"),
    "a folder that escapes": ("escape/secret.png", "access_denied", "outside"),
    "an unknown scan_id": ("scan-0123456789abcdef", "unknown_scan", "no scan is kept"),
    "a data URI of a cut picture": (data_uri(encoded(bag())[:500]), "invalid_scan", "cut off"),
    "a data URI that is no base64": ("data:image/png;base64,@@@@", "invalid_scan", "base64"),
    "an empty data URI": ("data:image/png;base64,", "invalid_scan", "empty"),
    "a view that is cut": ([SCAN, "cut.png"], "invalid_scan", "cut off"),
    "too many views": ([SCAN] * 9, "scan_too_large", "9 views"),
    "no views": ([], "invalid_scan", "empty"),
    "an empty name": ("", "invalid_scan", ""),
    "a null byte": ("bag\0.png", "invalid_scan", "no file"),
    "a number": (7, "invalid_argument", "scan"),
    "nothing": (None, "invalid_argument", "scan"),
}


@pytest.mark.parametrize("fault", BAD_SCANS)
def test_a_scan_that_cannot_be_read_is_an_error_that_names_the_cause(
    fault: str, running: Running, root: Path, traps: Path, era: str
) -> None:
    scan, code, words = BAD_SCANS[fault]
    if isinstance(scan, str):
        scan = scan.replace("{outside}", str(traps)).replace("{name}", traps.name)

    async def talk() -> None:
        async with Client(running.url, mode=era) as client:
            error = await failure(client, scan)
            assert error["code"] == code
            assert words in error["message"]
            await assert_answers(client, root)

    bounded(talk)


@pytest.mark.parametrize("tool", ["explain_scan", "view_scan", "assess_declaration"])
def test_every_tool_says_what_is_wrong_with_a_scan(tool: str, running: Running, traps: Path, era: str) -> None:
    arguments = {"declared_items": ["laptop"]} if tool == "assess_declaration" else {}

    async def talk() -> None:
        async with Client(running.url, mode=era) as client:
            assert (await failure(client, "cut.png", tool, **arguments))["code"] == "invalid_scan"
            assert (await failure(client, "../x.png", tool, **arguments))["code"] == "access_denied"

    bounded(talk)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_scan_without_permission_to_read_is_an_error(running: Running, root: Path, era: str) -> None:
    locked = Path(shutil.copy(root / SCAN, root / f"locked-{era}.png"))
    locked.chmod(0)

    async def talk() -> None:
        async with Client(running.url, mode=era) as client:
            error = await failure(client, locked.name)
            assert error["code"] == "invalid_scan"
            assert "permissions" in error["hint"]
            await assert_answers(client, root)

    bounded(talk)


def test_the_error_does_not_tell_whether_a_file_outside_the_roots_exists(
    running: Running, traps: Path, era: str
) -> None:
    async def talk() -> None:
        async with Client(running.url, mode=era) as client:
            assert await failure(client, f"{traps}/secret.png") == await failure(client, f"{traps}/nothing.png")
            assert await failure(client, f"../{traps.name}/secret.png") == await failure(client, "../nothing/x.png")

    bounded(talk)


def test_a_resource_of_an_unknown_scan_is_an_error(running: Running, root: Path, era: str) -> None:
    async def talk() -> None:
        async with Client(running.url, mode=era) as client:
            for address in ("xray://scans/scan-0123456789abcdef", "xray://scans/scan-0123456789abcdef/report"):
                with pytest.raises(MCPError, match="unknown_scan"):
                    await client.read_resource(address)
            scan_id = await assert_answers(client, root)
            assert (await client.read_resource(f"xray://scans/{scan_id}/report")).contents

    bounded(talk)


def test_a_body_over_the_limit_is_refused_with_what_to_do_instead(root: Path, era: str) -> None:
    async def talk() -> None:
        with serving("--root", str(root), "--max-body-mib", "1") as server:
            async with Client(server.url, mode=era) as client:
                with pytest.raises(MCPError, match=r"scan_too_large.*give the path of the scan"):
                    await client.call_tool("detect_threats", {"scan": data_uri(bytes(1_500_000))})
                await assert_answers(client, root)
            async with httpx2.AsyncClient(timeout=PATIENCE_S) as http:
                answer = await http.post(f"{server.origin}/scans", content=bytes(1_500_000))
                assert answer.status_code == 413
                assert answer.json()["error"]["code"] == "scan_too_large"

    bounded(talk)


# Scans that are kept


def kept_file(shelf: Path, scan_id: str) -> Path:
    [path] = shelf.glob(f"*/{scan_id}")
    return path


def test_a_scan_id_whose_time_is_over_is_an_error_until_the_scan_is_given_again(
    root: Path, tmp_path: Path, era: str
) -> None:
    async def talk() -> None:
        async with in_memory(root, tmp_path, era, shelf_limits=ShelfLimits(lifetime_s=600)) as (client, _):
            scan_id = await assert_answers(client, root)
            await assert_answers(client, root, scan=scan_id)
            os.utime(kept_file(tmp_path, scan_id), (0, 0))
            error = await failure(client, scan_id)
            assert error["code"] == "unknown_scan"
            assert "10 minutes" in error["hint"]
            await assert_answers(client, root)
            await assert_answers(client, root, scan=scan_id)

    bounded(talk)


def test_another_owners_scan_id_is_unknown(root: Path, tmp_path: Path, era: str) -> None:
    tokens = dict(new_token(name) for name in ("lane-1", "lane-2"))
    (tmp_path / "tokens").write_text("\n".join(tokens.values()), encoding="utf-8")

    async def talk() -> None:
        async with AsyncExitStack() as stack:
            server = stack.enter_context(serving("--root", str(root), "--token-file", str(tmp_path / "tokens")))
            first, second = [await stack.enter_async_context(with_token(server.url, token, era)) for token in tokens]
            scan_id = await assert_answers(first, root)
            error = await failure(second, scan_id)
            assert error["code"] == "unknown_scan"
            assert error == await failure(second, scan_id[:-1] + "?") or "path or an upload" in error["hint"]
            with pytest.raises(MCPError, match="unknown_scan"):
                await second.read_resource(f"xray://scans/{scan_id}")
            await assert_answers(first, root, scan=scan_id)
            await assert_answers(second, root)

    bounded(talk)


@asynccontextmanager
async def with_token(url: str, token: str, era: str) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_S) as http,
        Client(streamable_http_client(url, http_client=http), mode=era) as client,
    ):
        yield client


def test_a_shelf_without_room_is_an_error_and_no_look(root: Path, tmp_path: Path, era: str) -> None:
    async def talk() -> None:
        async with in_memory(root, tmp_path, era, shelf_limits=ShelfLimits(max_bytes=100)) as (client, _):
            error = await failure(client, SCAN)
            assert error["code"] == "storage_full"
            assert "not looked at" in error["message"]
            assert "operator" in error["hint"]

    bounded(talk)


def test_a_disk_that_is_full_is_an_error_until_it_has_room(root: Path, tmp_path: Path, era: str) -> None:
    async def talk() -> None:
        with serving("--root", str(root)) as server:
            await eventually(lambda: len(server.screening_pids()) == 1, "a screening process")
            async with Client(server.url, mode=era) as client:
                with no_file_larger_than(100, server.screening_pids()):
                    error = await failure(client, SCAN)
                assert error["code"] == "storage_full"
                assert "no room" in error["message"]
                await assert_answers(client, root)

    bounded(talk)


@contextmanager
def no_file_larger_than(size: int, pids: list[int]) -> Iterator[None]:
    """To the processes, the disk is as good as full."""
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in pids}
    for pid, (_, hard) in limits.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        for pid, limit in limits.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)


def test_a_file_where_the_shelf_should_be_is_an_error_until_it_is_gone(root: Path, tmp_path: Path, era: str) -> None:
    shelf = tmp_path / "shelf"

    async def talk() -> None:
        async with in_memory(root, shelf, era) as (client, _):
            shelf.rmdir()
            shelf.write_text("in the way", encoding="utf-8")
            error = await failure(client, SCAN)
            assert error["code"] == "storage_full"
            assert "cannot be kept" in error["message"]
            shelf.unlink()
            await assert_answers(client, root)

    bounded(talk)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_shelf_that_cannot_be_written_is_an_error_until_it_can(root: Path, tmp_path: Path, era: str) -> None:
    shelf = tmp_path / "shelf"

    async def talk() -> None:
        async with in_memory(root, shelf, era) as (client, _):
            shelf.chmod(0o500)
            error = await failure(client, SCAN)
            shelf.chmod(0o700)
            assert error["code"] == "storage_full"
            assert "Permission denied" in error["message"]
            await assert_answers(client, root)

    bounded(talk)


def test_a_kept_scan_that_was_damaged_is_unknown_until_it_is_given_again(root: Path, tmp_path: Path, era: str) -> None:
    async def talk() -> None:
        async with in_memory(root, tmp_path, era) as (client, _):
            scan_id = await assert_answers(client, root)
            await client.call_tool("detect_threats", {"scan": OTHER_SCAN})
            [other] = [path for path in tmp_path.glob("*/scan-*") if path.name != scan_id]
            good = kept_file(tmp_path, scan_id).read_bytes()
            for content in (b"", b"{", b"null\n", good[:1000], b"[40]\n" + bytes(40), other.read_bytes()):
                kept_file(tmp_path, scan_id).write_bytes(content)
                assert (await failure(client, scan_id))["code"] == "unknown_scan"
                await assert_answers(client, root)
                await assert_answers(client, root, scan=scan_id)

    bounded(talk)


# Models that are none


def without(name: str) -> Callable[[Path], None]:
    return lambda package: (package / name).unlink()


def spoilt_network(package: Path) -> None:
    content = bytearray((package / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (package / "model.onnx").write_bytes(content)


def broken_manifest(package: Path) -> None:
    (package / "manifest.json").write_text('{"id": ', encoding="utf-8")


def manifest_of_something_else(package: Path) -> None:
    (package / "manifest.json").write_text('{"id": "something"}', encoding="utf-8")


def network_that_is_none(package: Path) -> None:
    (package / "model.onnx").write_bytes(b"not a network")
    manifest = json.loads((package / "manifest.json").read_text(encoding="utf-8"))
    manifest["sha256"] = hashlib.sha256(b"not a network").hexdigest()
    (package / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


BAD_MODELS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no folder": (shutil.rmtree, "is no model package (FileNotFoundError)"),
    "no manifest": (without("manifest.json"), "is no model package (FileNotFoundError)"),
    "no network": (without("model.onnx"), "model.onnx is missing"),
    "a network with one bit changed": (spoilt_network, "model.onnx is not the file its manifest names"),
    "a manifest that breaks off": (broken_manifest, "is no model package (JSONDecodeError)"),
    "a manifest of something else": (manifest_of_something_else, "fields are wrong"),
    "a network that is none": (network_that_is_none, "the network cannot be loaded"),
}


def install_model(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    embedded = load_package("default").folder
    return Path(shutil.copytree(embedded, folder, ignore=shutil.ignore_patterns("*.pt")))


@pytest.mark.parametrize("fault", BAD_MODELS)
def test_a_model_package_that_cannot_be_loaded_is_an_error_until_it_is_mended(
    fault: str, root: Path, tmp_path: Path
) -> None:
    breaks, words = BAD_MODELS[fault]
    package = install_model(tmp_path / "package")
    breaks(package)

    async def talk() -> None:
        async with in_memory(root, tmp_path / "shelf", model=str(package)) as (client, desk):
            for tool in ("detect_threats", "explain_scan", "view_scan"):
                error = await failure(client, SCAN, tool)
                assert error["code"] == "model_unavailable"
                assert words in error["message"]
            assert not await desk.ready()
            install_model(package)
            await assert_answers(client, root)

    bounded(talk)


def test_a_server_without_its_model_still_starts_says_so_and_recovers(root: Path, tmp_path: Path, era: str) -> None:
    package = tmp_path / "package"

    async def talk() -> None:
        with serving("--root", str(root), "--model", str(package)) as server:
            async with httpx2.AsyncClient(timeout=PATIENCE_S) as http, Client(server.url, mode=era) as client:
                assert (await http.get(f"{server.origin}/readyz")).status_code == 503
                assert (await failure(client, SCAN))["code"] == "model_unavailable"
                with pytest.raises(MCPError, match="model_unavailable"):
                    await client.read_resource("xray://model-card")
                install_model(package)
                await assert_answers(client, root)

    bounded(talk)


def test_a_canary_that_is_gone_makes_the_verdict_unknown(root: Path, tmp_path: Path, era: str) -> None:
    package = install_model(tmp_path / "package")
    (package / "canary.png").unlink()

    async def talk() -> None:
        async with in_memory(root, tmp_path / "shelf", era, model=str(package)) as (client, desk):
            result = await client.call_tool("detect_threats", {"scan": SCAN})
            assert result.structured_content is not None
            assert result.structured_content["verdict"] == "UNKNOWN"
            assert not result.structured_content["quality"]["usable"]
            assert not await desk.ready()

    bounded(talk)


# Processes that die or hang


@pytest.mark.slow
def test_a_screening_process_that_dies_idle_is_replaced_unnoticed(root: Path, era: str) -> None:
    async def talk() -> None:
        with serving("--root", str(root)) as server:
            async with Client(server.url, mode=era) as client:
                for _ in range(3):
                    await assert_answers(client, root)
                    [pid] = server.screening_pids()
                    os.kill(pid, signal.SIGKILL)
                    await eventually(lambda pid=pid: not Path(f"/proc/{pid}").exists(), "its end")  # type: ignore[misc]
                    await assert_answers(client, root)

    bounded(talk)


@pytest.mark.slow
def test_a_screening_process_that_is_killed_at_work_costs_one_call_each_time(root: Path, era: str) -> None:
    async def talk() -> None:
        async with endpoint() as vlm:
            with serving("--root", str(root), *vlm.options) as server:
                async with Client(server.url, mode=era) as client:
                    for _ in range(3):
                        async with calling(client, "explain_scan") as call:
                            await vlm.requests.receive()
                            [pid] = server.screening_pids()
                            os.kill(pid, signal.SIGKILL)
                        error = error_of(call.result)
                        assert error["code"] == "worker_lost"
                        assert "says nothing about the scan" in error["message"]
                        assert "call again" in error["hint"]
                        await assert_answers(client, root)
                    assert (await failure(client, "missing.png"))["code"] == "invalid_scan"

    bounded(talk)


@pytest.mark.slow
def test_work_that_takes_too_long_is_ended_with_its_process(root: Path, tmp_path: Path, era: str) -> None:
    async def talk() -> None:
        limits = DeskLimits(timeout_s=6, warm=False)
        async with endpoint() as vlm, in_memory(root, tmp_path, era, limits, vlm=vlm.settings) as (client, _):
            await assert_answers(client, root)
            [pid] = fresh_pids_of(os.getpid())
            error = await failure(client, SCAN, "explain_scan")
            assert error["code"] == "timed_out"
            assert "within 6 seconds" in error["message"]
            assert "--timeout" in error["hint"]
            assert not is_alive(pid)
            await assert_answers(client, root)

    bounded(talk)


@pytest.mark.slow
def test_a_process_that_stands_still_is_ended_in_time(root: Path, tmp_path: Path, era: str) -> None:
    async def talk() -> None:
        async with in_memory(root, tmp_path, era, DeskLimits(timeout_s=6, warm=False)) as (client, _):
            await assert_answers(client, root)
            [pid] = fresh_pids_of(os.getpid())
            os.kill(pid, signal.SIGSTOP)
            assert (await failure(client, SCAN))["code"] == "timed_out"
            assert not is_alive(pid)
            await assert_answers(client, root)

    bounded(talk)


def test_memory_that_runs_out_is_an_error_and_not_the_end(root: Path, era: str) -> None:
    Image.new("RGB", (4000, 4000), "white").save(root / "large.png")

    async def talk() -> None:
        with serving("--root", str(root)) as server:
            async with Client(server.url, mode=era) as client:
                await assert_answers(client, root)
                [pid] = server.screening_pids()
                limit = resource.prlimit(pid, resource.RLIMIT_AS)
                pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[0])
                resource.prlimit(pid, resource.RLIMIT_AS, (pages * resource.getpagesize(), limit[1]))
                error = await failure(client, "large.png")
                assert error["code"] in {"internal_error", "worker_lost", "model_unavailable"}
                for survivor in server.screening_pids():
                    resource.prlimit(survivor, resource.RLIMIT_AS, limit)
                await assert_answers(client, root)

    bounded(talk)


# A vision-language model that fails


def test_an_endpoint_that_is_down_is_an_error_and_everything_else_goes_on(
    root: Path, tmp_path: Path, era: str, free_tcp_port: int
) -> None:
    vlm = VlmSettings(f"http://127.0.0.1:{free_tcp_port}/v1", "gone")

    async def talk() -> None:
        async with in_memory(root, tmp_path, era, vlm=vlm) as (client, _):
            error = await failure(client, SCAN, "explain_scan")
            assert error["code"] == "explainer_unavailable"
            assert "check that it runs" in error["hint"]
            await assert_answers(client, root)

    bounded(talk)


WEB_PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 7\r\nConnection: close\r\n\r\nWelcome"


@pytest.mark.parametrize("answer", [NONSENSE, WEB_PAGE, b"HTTP/1.1 500 Oh no\r\n\r\n"])
def test_an_endpoint_that_answers_nonsense_is_an_error(answer: bytes, root: Path, tmp_path: Path) -> None:
    async def talk() -> None:
        async with endpoint(answer) as vlm, in_memory(root, tmp_path, vlm=vlm.settings) as (client, _):
            vlm.answer_now.set()
            assert (await failure(client, SCAN, "explain_scan"))["code"] == "explainer_unavailable"
            await assert_answers(client, root)

    bounded(talk)


# A queue that is full


def test_a_full_queue_says_when_to_come_again_and_those_who_wait_are_answered(
    root: Path, tmp_path: Path, era: str
) -> None:
    limits = DeskLimits(waiting=2, warm=False)

    async def talk() -> None:
        async with endpoint() as vlm, in_memory(root, tmp_path, era, limits, vlm=vlm.settings) as (client, _):
            async with (
                calling(client, "explain_scan", step=ASKING) as held,
                calling(client, "detect_threats", step=WAITING) as first,
                calling(client, "detect_threats", step=WAITING) as second,
            ):
                for tool in ("detect_threats", "view_scan", "explain_scan"):
                    error = await failure(client, SCAN, tool)
                    assert error["code"] == "overloaded"
                    assert "2 scans are waiting" in error["message"]
                    assert error["retry_after"] >= 1
                    assert error["hint"] == f"call again in {error['retry_after']:.0f} seconds"
                vlm.answer_now.set()
            assert error_of(held.result)["code"] == "explainer_unavailable"
            assert_alarms(first.result, root)
            assert_alarms(second.result, root)
            await assert_answers(client, root)

    bounded(talk)


# Clients that no longer want to know


@asynccontextmanager
async def reached(
    transport: str, era: str, root: Path, shelf: Path, vlm: Endpoint, *more: str
) -> AsyncIterator[tuple[Client, int]]:
    """A client of a server over a transport, and the server's process."""
    options = ("--root", str(root), "--shelf", str(shelf), *vlm.options, *more)
    if transport == "memory":
        async with in_memory(root, shelf, era, vlm=vlm.settings) as (client, _):
            yield client, os.getpid()
    elif transport == "stdio":
        async with Client(over_stdio(*options), mode=era) as client:
            yield client, started_with(vlm.settings.base_url)
    else:
        with serving(*options) as server:
            async with Client(server.url, mode=era) as client:
                yield client, server.pid


WAYS_TO_CANCEL = [("memory", "auto"), ("memory", "legacy"), ("stdio", "auto"), ("stdio", "legacy"), ("http", "auto")]
"""All but the old protocol over HTTP: without a session, its notice of cancellation cannot be assigned to a call."""


@pytest.mark.parametrize(("transport", "era"), WAYS_TO_CANCEL)
def test_work_that_is_cancelled_stops_and_its_process_ends(
    transport: str, era: str, root: Path, tmp_path: Path
) -> None:
    async def talk() -> None:
        async with endpoint() as vlm, reached(transport, era, root, tmp_path, vlm) as (client, server):
            async with calling(client, "explain_scan") as call:
                hung_up = await vlm.requests.receive()
                [pid] = fresh_pids_of(server)
                call.cancel()
            await hung_up.wait()
            await eventually(lambda: not is_alive(pid), "the end of the process")
            await assert_answers(client, root)
            assert vlm.requests.statistics().current_buffer_used == 0

    bounded(talk)


@pytest.mark.parametrize(("transport", "era"), WAYS_TO_CANCEL)
def test_work_that_is_cancelled_while_it_waits_never_begins(
    transport: str, era: str, root: Path, tmp_path: Path
) -> None:
    async def talk() -> None:
        async with endpoint() as vlm, reached(transport, era, root, tmp_path, vlm) as (client, _):
            async with calling(client, "explain_scan") as held:
                await vlm.requests.receive()
                async with calling(client, "detect_threats", OTHER_SCAN, step=WAITING) as call:
                    call.cancel()
                vlm.answer_now.set()
            assert error_of(held.result)["code"] == "explainer_unavailable"
            scan_id = await assert_answers(client, root)
            assert [path.name for path in tmp_path.glob("*/*")] == [scan_id]

    bounded(talk)


def test_work_that_ends_soon_after_it_was_cancelled_costs_no_process(root: Path, tmp_path: Path, era: str) -> None:
    limits = DeskLimits(grace_s=PATIENCE_S, warm=False)

    async def talk() -> None:
        async with endpoint() as vlm, in_memory(root, tmp_path, era, limits, vlm=vlm.settings) as (client, _):
            async with calling(client, "explain_scan") as call:
                await vlm.requests.receive()
                pids = fresh_pids_of(os.getpid())
                call.cancel()
            vlm.answer_now.set()
            await assert_answers(client, root)
            assert fresh_pids_of(os.getpid()) == pids

    bounded(talk)


def test_a_client_that_vanishes_in_mid_call_leaves_a_server_for_the_others(root: Path, era: str) -> None:
    async def talk() -> None:
        async with endpoint() as vlm, httpx2.AsyncClient(timeout=PATIENCE_S) as http:
            with serving("--root", str(root), *vlm.options) as server:
                connection = streamable_http_client(server.url, http_client=http)
                async with Client(connection, mode=era) as client, calling(client, "explain_scan") as call:
                    await vlm.requests.receive()
                    await http.aclose()
                    call.cancel()
                vlm.answer_now.set()
                async with Client(server.url, mode=era) as client:
                    await assert_answers(client, root)

    bounded(talk)


# A server that is stopped


def test_a_server_that_is_stopped_finishes_what_it_took_in_and_takes_nothing_more(
    root: Path, tmp_path: Path, era: str
) -> None:
    async def talk() -> None:
        async with endpoint() as vlm, reached("http", era, root, tmp_path, vlm) as (client, server):
            async with calling(client, "explain_scan") as call:
                await vlm.requests.receive()
                pids = [server, *fresh_pids_of(server)]
                os.kill(server, signal.SIGTERM)
                assert "the server is stopping" in str(await refusal_of(client))
                vlm.answer_now.set()
            assert error_of(call.result)["code"] == "explainer_unavailable"
            await eventually(lambda: not any(map(is_alive, pids)), "the end of all processes")

    bounded(talk)


async def refusal_of(client: Client) -> MCPError:
    """Call until the server takes no further call."""
    while True:
        async with calling(client, "detect_threats", step=WAITING) as call:
            call.cancel()
        if hasattr(call, "broken"):
            return call.broken


@pytest.mark.slow
def test_a_server_that_is_stopped_ends_work_that_does_not_end(root: Path, tmp_path: Path, era: str) -> None:
    async def talk() -> None:
        async with endpoint() as vlm, reached("http", era, root, tmp_path, vlm, "--timeout", "6") as (client, server):
            async with calling(client, "explain_scan") as call:
                await vlm.requests.receive()
                pids = [server, *fresh_pids_of(server)]
                # Left alone, it would give up waiting for the model and answer in computed words.
                for screening in pids[1:]:
                    os.kill(screening, signal.SIGSTOP)
                os.kill(server, signal.SIGTERM)
            assert error_of(call.result)["code"] == "timed_out"
            await eventually(lambda: not any(map(is_alive, pids)), "the end of all processes")

    bounded(talk)


def test_a_server_on_standard_input_that_is_stopped_in_mid_call_leaves_an_error_and_no_process(
    root: Path, tmp_path: Path, era: str
) -> None:
    async def talk() -> None:
        async with endpoint() as vlm, reached("stdio", era, root, tmp_path, vlm) as (client, server):
            async with calling(client, "explain_scan") as call:
                await vlm.requests.receive()
                pids = [server, *fresh_pids_of(server)]
                os.kill(server, signal.SIGTERM)
            assert "closed" in str(call.broken)
            await eventually(lambda: not any(map(is_alive, pids)), "the end of all processes")

    bounded(talk)


def test_a_client_that_leaves_in_mid_call_takes_its_server_with_it(root: Path, tmp_path: Path, era: str) -> None:
    async def talk() -> None:
        async with endpoint() as vlm:
            async with (
                reached("stdio", era, root, tmp_path, vlm) as (client, server),
                calling(client, "explain_scan") as call,
            ):
                await vlm.requests.receive()
                pids = [server, *fresh_pids_of(server)]
                call.cancel()
            await eventually(lambda: not any(map(is_alive, pids)), "the end of all processes")

    bounded(talk)


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_server_that_is_stopped_leaves_no_scan_behind(transport: str, root: Path, tmp_path: Path) -> None:
    async def talk() -> None:
        async with AsyncExitStack() as stack:
            folder = tmp_path / "root"
            folder.mkdir()
            shutil.copy(root / SCAN, folder)
            options, env = ("--root", str(folder)), {"TMPDIR": str(tmp_path)}
            if transport == "stdio":
                client = await stack.enter_async_context(Client(over_stdio(*options, env=env)))
                pid = started_with(str(folder))
            else:
                server = stack.enter_context(serving(*options, env=env))
                client = await stack.enter_async_context(Client(server.url))
                pid = server.pid
            scan_id = await assert_answers(client, root)
            assert list(tmp_path.glob(f"*/*/{scan_id}"))
            os.kill(pid, signal.SIGTERM)
            await eventually(lambda: not is_alive(pid), "the server's end")
        assert not list(tmp_path.glob("xray-*"))

    bounded(talk)
