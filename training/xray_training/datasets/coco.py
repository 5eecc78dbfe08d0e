"""COCO: one JSON file a split, boxes as left, top, width and height in pixels.

Layouts::

    annotations/instances_SPLIT.json    with images/SPLIT/, SPLIT/ or images/
    SPLIT/_annotations.coco.json        beside the pictures, as Roboflow exports

Our own export says more than the format has: of the file ``annotated``, the labels that each source annotates; of an
image ``source``, ``scanner``, ``split``, ``group``, ``block``, ``stretch``, ``metadata`` and ``annotated``, the labels
annotated on it; of an annotation ``original``, the source's own class name. In a file without ``annotated`` these
fields are somebody else's and mean nothing here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, FiniteFloat, TypeAdapter, ValidationError

from xray_training.datasets.annotation import bad, first_problem, json_of, missing
from xray_training.datasets.fault import Fault, FaultKind, FaultReport, refuse
from xray_training.datasets.folders import files_in, split_called, wanted, within
from xray_training.datasets.naming import canonical
from xray_training.datasets.neighbours import block_of, uploaded_stem
from xray_training.datasets.picture import Size, size_of
from xray_training.datasets.placing import Naming, PixelBox, place
from xray_training.datasets.record import LabelledBox, ScanRecord

_INSTANCES = re.compile(r"instances_([A-Za-z]+)\d*")

ROBOFLOW = "_annotations.coco.json"
"""The annotation file in each split's folder of Roboflow's export."""

_EXTRA = frozenset(
    {"source", "scanner", "split", "group", "block", "stretch", "metadata", "annotated", "original"}
)  # what our own export adds to images and annotations

Side = Annotated[int, Field(ge=1, le=1_000_000)]
Extent = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Identity = int | str
Element = TypeVar("Element", bound=BaseModel)


class Image(BaseModel):
    """An image of a COCO file; the fields from ``source`` on are ours."""

    id: Identity
    file_name: str
    width: Side | None = None
    height: Side | None = None
    source: str | None = None
    scanner: str | None = None
    split: str | None = None
    group: str | None = None
    block: str | None = None
    stretch: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    annotated: frozenset[str] | None = None
    metadata: dict[str, str] = {}

    @property
    def declared(self) -> Size | None:
        """Width and height as the file claims them."""
        return None if self.width is None or self.height is None else (self.width, self.height)


@dataclass(frozen=True, slots=True)
class Part:
    """The annotation file of a split and the folder of its pictures."""

    split: str
    annotations: Path
    pictures: Path


@dataclass(frozen=True, slots=True)
class Mark:
    """A box named by its category, and the source's own name of the class where the file gives it."""

    box: PixelBox
    original: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """An image with what is marked on it.

    Attributes:
        image: what the file says of the image.
        path: where the picture should be.
        marks: its boxes.
    """

    image: Image
    path: Path
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A COCO file.

    Attributes:
        names: its classes.
        groups: super-categories that only group its classes.
        annotated: what each source in it annotates; None where the file is no export of ours.
        scans: its images.
    """

    names: tuple[str, ...]
    groups: frozenset[str]
    annotated: Mapping[str, frozenset[str]] | None
    scans: tuple[Scan, ...]


class _Category(BaseModel):
    id: Identity
    name: str
    supercategory: str | None = None


class _Annotation(BaseModel):
    image_id: Identity
    category_id: Identity
    bbox: tuple[FiniteFloat, FiniteFloat, Extent, Extent] | None = None
    segmentation: Any = None
    original: str = ""


class _File(BaseModel):
    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]] = []
    categories: list[dict[str, Any]]
    annotated: dict[str, frozenset[str]] | None = None


_POLYGONS = TypeAdapter(list[list[FiniteFloat]])


def read(root: Path, *, split: str | None = None, report: FaultReport = refuse) -> Iterator[ScanRecord]:
    """Read a COCO folder whose categories are labels, in the order of its files.

    Every label that a file names counts as annotated, unless it says itself what its sources annotate.

    Args:
        root: the folder; its name is the records' source.
        split: keep only this split.
        report: hears of every fault.

    Raises:
        DatasetError: by the default report, at the first fault.
    """
    parts = parts_of(root)
    if not parts:
        report(missing(root, f"neither annotations/instances_SPLIT.json nor SPLIT/{ROBOFLOW} is there"))
    for part in parts:
        document = document_of(part, report)
        if document is None:
            continue
        named = frozenset(label for name in document.names if (label := canonical(name)))
        naming = canonical if document.annotated is None else str
        said = document.annotated or {}
        for scan in document.scans:
            image = scan.image
            source = root.resolve().name if image.source is None else image.source
            found = part.split if image.split is None else image.split
            if not wanted(found, split):
                continue
            boxes = boxes_of(scan, naming, report)
            if boxes is None:
                continue
            annotated = said.get(source, named) if image.annotated is None else image.annotated
            stem = uploaded_stem(scan.path.stem) or f"{found}/{scan.path.stem}"
            group = stem if image.group is None else image.group
            yield ScanRecord(
                image=scan.path,
                source=source,
                scanner=source if image.scanner is None else image.scanner,
                split=found,
                group=group,
                block=block_of(stem, group) if image.block is None else image.block,
                boxes=boxes,
                annotated=annotated,
                stretch=image.stretch,
                metadata=image.metadata,
            )


def recognises(root: Path) -> bool:
    """Whether the folder holds COCO files in one of the layouts."""
    return bool(parts_of(root))


def parts_of(root: Path) -> list[Part]:
    """The splits of a COCO folder: training first, then validation, test and any others."""
    parts = []
    for path in files_in(root / "annotations", ".json"):
        if named := _INSTANCES.fullmatch(path.stem):
            name = path.stem.removeprefix("instances_")
            folders = (root / "images" / name, root / name, root / "images", root)
            parts.append(Part(split_called(named[1]), path, next(folder for folder in folders if folder.is_dir())))
    if not parts:
        names = ("train", "valid", "val", "test")
        exported = [root / name for name in names if (root / name / ROBOFLOW).is_file()]
        parts = [Part(split_called(folder.name), folder / ROBOFLOW, folder) for folder in exported]
    order = ("train", "val", "test")
    return sorted(parts, key=lambda part: order.index(part.split) if part.split in order else len(order))


def elsewhere_made(part: Part) -> Document | None:
    """A COCO file that is no export of ours; None where it is one, or cannot be read."""
    document = document_of(part, lambda fault: None)
    return document if document and document.annotated is None else None


def document_of(part: Part, report: FaultReport) -> Document | None:
    """Read a COCO file; None, and a fault, where it is none.

    A category that is another's super-category and of which there is no box only groups others and is no class. An
    image with a malformed annotation is left out, because it would count as free of what that annotation marks.
    """
    where = part.annotations
    content = json_of(where, _File, report)
    if content is None:
        return None
    ours = content.annotated is not None
    categories = {category.id: category for category in _each(content.categories, _Category, where, report)}
    images: dict[Identity, Image] = {}
    repeated = set()
    for image in _each(content.images if ours else _bare(content.images), Image, where, report):
        if image.id in images:
            report(bad(where, f"two images have the id {image.id}"))
            repeated.add(image.id)
        images[image.id] = image
    annotations = content.annotations if ours else _bare(content.annotations)
    marks = _marks(annotations, images, categories, where, report)
    scans = []
    for image in images.values():
        path, found = within(part.pictures, image.file_name), marks[image.id]
        if path is None:
            report(bad(where, f"image {image.id} has no usable file name: {image.file_name[:80]!r}"))
        elif None not in found and image.id not in repeated:
            scans.append(Scan(image, path, tuple(mark for mark in found if mark is not None)))
    boxed = {mark.box.name for found in marks.values() for mark in found if mark is not None}
    groups = {category.supercategory for category in categories.values() if category.supercategory != category.name}
    names = [category.name for category in categories.values()]
    grouping = frozenset(name for name in names if name in groups - boxed)
    return Document(tuple(name for name in names if name not in grouping), grouping, content.annotated, tuple(scans))


def _marks(
    items: list[dict[str, Any]],
    images: Mapping[Identity, Image],
    categories: Mapping[Identity, _Category],
    where: Path,
    report: FaultReport,
) -> dict[Identity, list[Mark | None]]:
    """What is marked on each image; None stands for a malformed annotation."""
    marks: dict[Identity, list[Mark | None]] = defaultdict(list)
    for item in items:
        annotation = _one(item, _Annotation, where, report)
        if annotation is None:
            if isinstance(image_id := item.get("image_id"), Identity):
                marks[image_id].append(None)
            continue
        category, corners = categories.get(annotation.category_id), _corners(annotation)
        if category is None or corners is None or annotation.image_id not in images:
            said = f"an annotation of image {annotation.image_id} has no box, or no known category or image"
            report(bad(where, said))
            marks[annotation.image_id].append(None)
        else:
            marks[annotation.image_id].append(Mark(PixelBox(category.name, *corners), annotation.original))
    return marks


def boxes_of(scan: Scan, naming: Naming, report: FaultReport) -> tuple[LabelledBox, ...] | None:
    """The scan's boxes on its real picture; None where the scan has to be left out."""
    size = size_of(scan.path, report)
    if size is None:
        return None
    fit = partial(place, picture=size, declared=scan.image.declared, naming=naming, where=str(scan.path))
    if fit((), report=report) is None:
        return None

    def report_box(fault: Fault) -> None:
        if fault.kind is not FaultKind.SIZE_RESCALED:  # which is the scan's, and told
            report(fault)

    placed = ((mark, box) for mark in scan.marks for box in fit((mark.box,), report=report_box) or ())
    return tuple(replace(box, original=mark.original or box.original) for mark, box in placed)


def _bare(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Images or annotations without the fields that only our own export fills."""
    return [{key: value for key, value in item.items() if key not in _EXTRA} for item in items]


def _each(items: list[dict[str, Any]], model: type[Element], where: Path, report: FaultReport) -> Iterator[Element]:
    for item in items:
        if (element := _one(item, model, where, report)) is not None:
            yield element


def _one(item: dict[str, Any], model: type[Element], where: Path, report: FaultReport) -> Element | None:
    try:
        return model.model_validate(item)
    except ValidationError as error:
        report(bad(where, f"{model.__name__.strip('_').lower()} {item.get('id')}: {first_problem(error)}"))
        return None


def _corners(annotation: _Annotation) -> tuple[float, float, float, float] | None:
    if annotation.bbox is not None:
        left, top, width, height = annotation.bbox
        return left, top, left + width, top + height
    try:
        points = [value for polygon in _POLYGONS.validate_python(annotation.segmentation) for value in polygon]
    except ValidationError:
        return None
    across, down = points[::2], points[1::2]
    return (min(across), min(down), max(across), max(down)) if down else None
