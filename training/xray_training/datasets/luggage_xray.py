"""Luggage X-ray (Roboflow ``yolov5xray``): chat messages in JSON lines, boxes as ``<loc>`` words, pictures by URL.

Layout::

    _annotations.{train,valid}.jsonl
    images/*.jpg                        as fetched; ``picture_names`` says which URL is which file

The boxes are PaliGemma's: top, left, bottom, right, each in 1/1024 of the picture's height or width.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from pydantic import BaseModel

from xray_training.datasets.annotation import bad, missing, parsed, text_of
from xray_training.datasets.fault import Fault, FaultKind, FaultReport, refuse
from xray_training.datasets.folders import files_in, split_called, wanted
from xray_training.datasets.naming import folded_names_of
from xray_training.datasets.neighbours import block_of, uploaded_stem
from xray_training.datasets.picture import Size, size_of
from xray_training.datasets.placing import PixelBox, labels_of, place
from xray_training.datasets.record import ScanRecord

SOURCE = "luggage_xray"

STEPS = 1024
"""Into how many steps the boxes divide each side of a picture (PaliGemma's location tokens)."""

_FILE = re.compile(r"_annotations\.(train|valid|test)\.jsonl")
_SIGNATURE = re.compile(
    r"x-(amz|goog)-.+|sign(ature)?|expires|token|alt|policy|key-pair-id|awsaccesskeyid|googleaccessid", re.IGNORECASE
)  # parameters of S3, CloudFront and Google that let one in and do not tell pictures apart
_OBJECT = re.compile(r"<loc(\d{4})><loc(\d{4})><loc(\d{4})><loc(\d{4})>([^<>;]+)")


class _Url(BaseModel):
    url: str


class _Part(BaseModel):
    type: str
    image_url: _Url | None = None


class _Message(BaseModel):
    role: Literal["system", "user", "assistant"]
    content: str | list[_Part] | None = None


class _Line(BaseModel):
    messages: list[_Message]


@dataclass(frozen=True, slots=True)
class _Scan:
    where: str
    url: str
    said: str


def read(root: Path, *, split: str | None = None, report: FaultReport = refuse) -> Iterator[ScanRecord]:
    """Read Luggage X-ray.

    Args:
        root: the folder that holds the JSON lines and ``images``.
        split: ``train`` or ``val``; both when not given.
        report: hears of every fault, a picture that was not yet fetched among them.

    Raises:
        DatasetError: by the default report, at the first fault.
    """
    files = _files(root)
    if not files:
        report(missing(root, "no _annotations.{train,valid}.jsonl is there"))
    scans = {path: list(_scans(path, report)) for path in files}
    names = picture_names(scan.url for found in scans.values() for scan in found)
    for path, found in scans.items():
        part = split_called(path.name.split(".")[1])
        for scan in found if wanted(part, split) else ():
            if record := _record(scan, root / "images" / names[scan.url], part, report):
                yield record


def recognises(root: Path) -> bool:
    """Whether the folder holds annotations in OpenAI's JSON lines."""
    return bool(_files(root))


def urls_of(path: Path, report: FaultReport = refuse) -> list[str]:
    """The URLs of the pictures that a file of JSON lines annotates, in its order, each once.

    Raises:
        DatasetError: by the default report, at the first fault.
    """
    return list(dict.fromkeys(scan.url for scan in _scans(path, report)))


def picture_names(urls: Iterable[str]) -> dict[str, str]:
    """The file in ``images`` for each URL: its last part, after a hash of the whole where that is not unique.

    Parameters that only sign a URL are no part of it.

    Give it the URLs of the whole set, so that every caller gets the same names.
    """
    addresses = {url: _unsigned(url) for url in urls}
    names = {_unsigned(url): _plain(urlsplit(url).path.rstrip("/").rpartition("/")[2]) for url in addresses}
    alike = Counter(name.casefold() for name in names.values())
    for address, name in names.items():
        if alike[name.casefold()] > 1:
            names[address] = f"{hashlib.sha256(address.encode()).hexdigest()[:12]}_{name}"
    return {url: names[address] for url, address in addresses.items()}


def _unsigned(url: str) -> str:
    """Host, path and those parameters that may tell pictures apart."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    telling = urlencode([(name, value) for name, value in query if not _SIGNATURE.fullmatch(name)])
    return parts.netloc + parts.path + (f"?{telling}" if telling else "")


def _files(root: Path) -> list[Path]:
    return [path for path in files_in(root, ".jsonl") if _FILE.fullmatch(path.name)]


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", unquote(name)).lstrip(".")[-200:] or "_"


def _scans(path: Path, report: FaultReport) -> Iterator[_Scan]:
    text = text_of(path, report)
    for number, line in enumerate((text or "").split("\n"), start=1):
        where = f"{path}, line {number}"
        content = parsed(line, _Line, where, report) if line.strip() else None
        if content is None:
            continue
        url, said = _url(content), [m.content for m in content.messages if m.role == "assistant"]
        if url is None or len(said) != 1 or not isinstance(said[0], str):
            report(bad(where, "not one picture's URL and one answer"))
        else:
            yield _Scan(where, url, said[0])


def _url(line: _Line) -> str | None:
    parts = [part for message in line.messages if isinstance(message.content, list) for part in message.content]
    urls = [part.image_url.url for part in parts if part.image_url is not None]
    if len(urls) != 1:
        return None
    try:
        return urls[0] if urlsplit(urls[0]).path.strip("/") else None
    except ValueError:
        return None


def _record(scan: _Scan, picture: Path, split: str, report: FaultReport) -> ScanRecord | None:
    if not picture.is_file():
        message = "the picture is not there: run `xray-train data download` to fetch it"
        report(Fault(FaultKind.MISSING_IMAGE, str(picture), message))
        return None
    size = size_of(picture, report)
    found = _boxes(scan, size, report) if size else None
    if size is None or found is None:
        return None
    boxes = place(found, picture=size, declared=None, naming=folded_names_of(SOURCE), where=str(picture), report=report)
    if boxes is None:
        return None
    group = uploaded_stem(picture.stem) or picture.stem
    return ScanRecord(picture, SOURCE, SOURCE, split, group, block_of(group, group), boxes, labels_of(SOURCE))


def _boxes(scan: _Scan, size: Size, report: FaultReport) -> list[PixelBox] | None:
    """The answer's boxes in pixels; None, and a fault, where it is no list of boxes."""
    boxes = []
    for words in filter(None, (words.strip() for words in scan.said.split(";"))):
        named = _OBJECT.fullmatch(words)
        if named is None:
            report(bad(scan.where, f"{words[:80]!r} is not four <loc> words and a class"))
            return None
        top, left, bottom, right = (int(step) / STEPS for step in named.groups()[:4])
        if bottom < top or right < left:
            report(bad(scan.where, f"{words[:80]!r} ends before it begins: are the axes in another order?"))
            return None
        width, height = size
        boxes.append(PixelBox(named[5].strip(), left * width, top * height, right * width, bottom * height))
    return boxes
