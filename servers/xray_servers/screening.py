"""What a screening process does: it reads a scan, keeps it, and runs a tool on it.

A picture from a stranger is decoded only here, away from the process that talks to clients.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from xray_agent_tools.declaration.policy import problems_of
from xray_agent_tools.detector.protocol import Detector
from xray_agent_tools.errors import (
    InvalidArgument,
    Misconfigured,
    ScanNotFound,
    XrayToolsError,
)
from xray_agent_tools.explainer.protocol import Explainer
from xray_agent_tools.render import as_jpeg
from xray_agent_tools.report import ThreatReport
from xray_agent_tools.scan import DEFAULT_LIMITS, Scan, ScanLimits, read_content
from xray_agent_tools.screener import DetectRequest, Screener
from xray_agent_tools.tools import TOOLS, VIEW_SCAN, ToolSpec
from xray_servers.shelf import ScanShelf, ShelfLimits, is_scan_id
from xray_servers.steps import told_to

_LONGEST_PATH = 1024
_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.\-]*:")
Outcome = TypeVar("Outcome")
_TOOLS = {tool.name: tool for tool in (*TOOLS, VIEW_SCAN)}


@dataclass(frozen=True, slots=True)
class VlmSettings:
    """An OpenAI-compatible endpoint with a vision-language model that words explanations.

    Attributes:
        base_url: the endpoint, such as ``http://127.0.0.1:8000/v1``.
        model: name of the model there.
        api_key: its key, if it wants one.
        timeout_s: seconds that an explanation may wait for it.
        frame: the model's ``frame.json``; that of Qwen2.5-VL when None.
    """

    base_url: str
    model: str
    api_key: str = field(default="none", repr=False)
    timeout_s: float = 45.0
    frame: Path | None = None


@dataclass(frozen=True, slots=True)
class ScreeningSettings:
    """What every screening process is made with.

    Attributes:
        roots: folders that scan paths must lie in; relative paths are looked for in each of them.
        shelf: folder in which scans are kept.
        shelf_limits: how much is kept there, and for how long.
        model: name of an embedded model package, or the folder of another one.
        policy: policy of :meth:`Screener.assess_declaration` where a call names none: a name or a YAML file.
        limits: bounds on what a scan may cost.
        vlm: who words explanations; computed evidence alone when None.
        threads: threads of one look; 0 takes one for each core, which is too many beside other processes.
    """

    roots: tuple[Path, ...]
    shelf: Path
    shelf_limits: ShelfLimits = field(default_factory=ShelfLimits)
    model: str = "default"
    policy: str = "customs"
    limits: ScanLimits = DEFAULT_LIMITS
    vlm: VlmSettings | None = None
    threads: int = 0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of one tool.

    Attributes:
        tool: its name.
        arguments: as the client sent them.
        owner: who calls; scans are kept for each owner apart.
        grounded: word explanations from computed evidence alone, even where a model could.
    """

    tool: str
    arguments: dict[str, Any]
    owner: str = ""
    grounded: bool = False


@dataclass(frozen=True, slots=True)
class Upload:
    """A scan to keep: the encoded views of one bag."""

    views: tuple[bytes, ...]
    owner: str = ""


@dataclass(frozen=True, slots=True)
class CanaryCheck:
    """The question whether the canary scan alarms; it loads the detector where it is not."""


Request = ToolCall | Upload | CanaryCheck
"""What a screening process can be asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request.

    Attributes:
        text: the answer as compact JSON.
        picture: a JPEG, from the tool that shows one.
        image_sha256: hash over the views that were looked at.
    """

    text: str
    picture: bytes | None = field(default=None, repr=False)
    image_sha256: str = ""


def can_share(request: Request) -> bool:
    """Whether a request can be carried out together with others of its kind."""
    return isinstance(request, ToolCall) and request.tool == "detect_threats"


def carry_out(
    settings: ScreeningSettings, requests: Sequence[Request], steps: str | None, numbers: Sequence[int]
) -> list[Answer | XrayToolsError]:
    """Carry requests out in this process: one, or several that can share a look.

    Args:
        settings: what to work with.
        requests: what to do.
        steps: where to tell each step to; None for nowhere.
        numbers: what the steps of each request are told under.

    Returns:
        For each request its answer, or what the caller is to know of what went wrong.

    Raises:
        Crash: what only the operator is to know of it.
    """
    _keep_answers_clean()
    with told_to(steps, numbers):
        try:
            room = _room(settings)
            if len(requests) > 1:
                return room.look_together([request for request in requests if isinstance(request, ToolCall)])
            return [_outcome(partial(room.carry_out, requests[0]))]
        except XrayToolsError as error:
            return [error] * len(requests)
        except Exception:
            raise Crash(traceback.format_exc()) from None


def _outcome(work: Callable[[], Outcome]) -> Outcome | XrayToolsError:
    """What came of work, errors that the caller is to know of included."""
    try:
        return work()
    except XrayToolsError as error:
        return error
    except ValidationError as error:
        return InvalidArgument("; ".join(problems_of(error)[:5]), hint="correct the arguments")


class Crash(Exception):
    """An error that nobody foresaw, as the text of its traceback."""


class ScreeningRoom:
    """A screener with the shelf beside it."""

    def __init__(self, settings: ScreeningSettings) -> None:
        self._settings = settings
        self._shelf = ScanShelf(settings.shelf, settings.shelf_limits)
        self.screener = self._screener(settings.model, _explainer(settings.vlm))

    def _screener(self, model: str | Detector, explainer: Explainer | None) -> Screener:
        settings = self._settings
        policy = policy_named(settings.policy)
        return Screener(
            model=model,
            explainer=explainer,
            policy=policy,
            roots=settings.roots,
            limits=settings.limits,
            threads=settings.threads,
        )

    @cached_property
    def _grounded(self) -> Screener:
        """The same parts, without the model that words explanations."""
        return self._screener(self.screener.detector, None)

    def carry_out(self, request: Request) -> Answer:
        """Carry one request out.

        Raises:
            XrayToolsError: what the caller is to know of what went wrong.
        """
        if isinstance(request, Upload):
            return self.keep(request)
        if isinstance(request, CanaryCheck):
            return Answer(json.dumps({"alarms": self.screener.canary_alarms()}))
        return self.answer(request)

    def answer(self, call: ToolCall) -> Answer:
        """Run a tool on a scan, which is kept under its ``scan_id``."""
        tool, scan, arguments = self._prepared(call)
        grounded = call.grounded and self._settings.vlm is not None
        return _run(self._grounded if grounded else self.screener, tool, scan, arguments)

    def look_together(self, calls: Sequence[ToolCall]) -> list[Answer | XrayToolsError]:
        """Run ``detect_threats`` on several scans, at once where the detector can."""
        begun = [_outcome(partial(self._prepared, call)) for call in calls]
        looks = [
            DetectRequest(scan, **arguments)
            for _, scan, arguments in (one for one in begun if not isinstance(one, XrayToolsError))
        ]
        reports = iter(self.screener.detect_together(looks))
        return [one if isinstance(one, XrayToolsError) else _reported(next(reports)) for one in begun]

    def _prepared(self, call: ToolCall) -> tuple[ToolSpec, Scan, dict[str, Any]]:
        """A call's tool, its scan, taken in and kept, and its other arguments."""
        tool = _TOOLS.get(call.tool)
        if tool is None:
            raise InvalidArgument(f"there is no tool {call.tool[:80]!r}", hint="the tools are " + ", ".join(_TOOLS))
        arguments = dict(tool.input_model.model_validate(call.arguments))
        sources = arguments.pop("scan")
        return tool, self._take_in([sources] if isinstance(sources, str) else sources, call.owner), arguments

    def keep(self, upload: Upload) -> Answer:
        """Keep a scan that was sent, if it is one."""
        scan = self._load(list(upload.views))
        self._shelf.keep(upload.owner, scan.scan_id, upload.views)
        first = scan.views[0]
        return Answer(
            Kept(
                scan_id=scan.scan_id,
                kept_for_s=self._settings.shelf_limits.lifetime_s,
                views=len(scan.views),
                width=first.width,
                height=first.height,
            ).model_dump_json(),
            image_sha256=scan.sha256,
        )

    def _take_in(self, sources: Sequence[str], owner: str) -> Scan:
        views = [view for source in sources for view in self._content(source, owner)]
        scan = self._load(views)
        self._shelf.keep(owner, scan.scan_id, views)
        return scan

    def _load(self, views: list[bytes]) -> Scan:
        return self.screener.load(views if len(views) != 1 else views[0])

    def _content(self, source: str, owner: str) -> list[bytes]:
        if is_scan_id(source):
            return self._shelf.fetch(owner, source)
        try:
            return [read_content(self._placed(source), roots=self._settings.roots, limits=self._settings.limits)]
        except ScanNotFound as error:
            folders = ", ".join(str(root) for root in self._settings.roots)
            path = f"the path of a picture in {folders}, " if folders else ""
            raise ScanNotFound(
                error.message,
                hint=f"give {path}the scan_id of an earlier answer or upload, or, as a last resort, a data URI",
            ) from error

    def _placed(self, source: str) -> str:
        """A relative path, placed in the first root that holds such a file, or else in the first."""
        if len(source) > _LONGEST_PATH or _SCHEME.match(source) or os.path.isabs(source) or not source.isprintable():
            return source
        places = [place for root in self._settings.roots if (place := _within(root, source)) is not None]
        # A text without a suffix may be base64, which its length alone does not tell from a path.
        otherwise = places[0] if places and os.path.splitext(source)[1] else source
        return next((place for place in places if os.path.lexists(place)), otherwise)


def _reported(report: ThreatReport | XrayToolsError) -> Answer | XrayToolsError:
    if isinstance(report, XrayToolsError):
        return report
    return Answer(report.model_dump_json(), image_sha256=report.image.sha256)


def _run(screener: Screener, tool: ToolSpec, scan: Scan, arguments: dict[str, Any]) -> Answer:
    run: Callable[..., Any] = getattr(screener, tool.name)
    answer = run(scan, **arguments)
    if isinstance(answer, BaseModel):
        return Answer(answer.model_dump_json(), image_sha256=scan.sha256)
    return Answer(answer.caption.model_dump_json(), as_jpeg(answer.picture), scan.sha256)


def _within(root: Path, name: str) -> str | None:
    """A relative path placed in a folder; None if it leads out of it."""
    place = os.path.abspath(root / name)
    return place if Path(place).is_relative_to(os.path.abspath(root)) else None


class Kept(BaseModel):
    """What became of an upload.

    Attributes:
        scan_id: give this to the tools instead of a path.
        kept_for_s: seconds that the scan is kept after its last use.
        views: number of views.
        width: width of the first view in pixels.
        height: height of the first view in pixels.
    """

    scan_id: str
    kept_for_s: float
    views: int
    width: int
    height: int


@cache
def _keep_answers_clean() -> None:
    """Let what a library prints go to standard error, in a process whose answers go over its standard output.

    anyio's processes write answers through the buffer of the first ``sys.stdout``, so that object gets a descriptor of
    its own, and the usual one is free for whatever prints.
    """
    if "anyio.to_process" not in sys.orig_argv or not isinstance(sys.__stdout__, TextIOWrapper):
        return
    answers = os.dup(1)
    os.dup2(2, 1)
    sys.__stdout__.__init__(os.fdopen(answers, "wb", 0), encoding="utf-8")  # type: ignore[misc]


@cache
def _room(settings: ScreeningSettings) -> ScreeningRoom:
    return ScreeningRoom(settings)


def _explainer(vlm: VlmSettings | None) -> Explainer | None:
    if vlm is None:
        return None
    from xray_agent_tools.explainer.picture import QWEN2_5_VL, read_frame
    from xray_agent_tools.explainer.vlm import VlmExplainer

    return VlmExplainer(
        base_url=vlm.base_url,
        model=vlm.model,
        api_key=vlm.api_key,
        timeout=vlm.timeout_s,
        frame=QWEN2_5_VL if vlm.frame is None else read_frame(vlm.frame),
    )


def policy_named(name: str) -> str | Path:
    """The policy that a setting names: a YAML file, or the name of an embedded one.

    Raises:
        Misconfigured: there is no such file.
    """
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} and not path.is_file():
        raise Misconfigured(f"there is no policy file {name}", hint="correct the server's --policy")
    return path if path.is_file() else name
