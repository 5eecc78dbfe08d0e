"""EDS: three domains, each another scanner, as XML files or as lines of text.

Layouts::

    DOMAIN/images/*.jpg  DOMAIN/labels/*.xml  DOMAIN/{train,val}.txt    names; without lists every scan is for training
    DOMAIN/image/*.jpg   DOMAIN/txt/*.txt                               lines "image class left top right bottom"
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xray_training.datasets.annotation import listed, missing
from xray_training.datasets.fault import Fault, FaultKind, FaultReport, refuse
from xray_training.datasets.folders import files_in, folders_in, pictures_by_stem, wanted
from xray_training.datasets.naming import folded_names_of
from xray_training.datasets.neighbours import block_of
from xray_training.datasets.picture import size_of
from xray_training.datasets.pixel_lines import boxes_of
from xray_training.datasets.placing import labels_of, place
from xray_training.datasets.record import ScanRecord
from xray_training.datasets.voc import Objects, objects_of

SOURCE = "eds"

_PICTURES = ("images", "image")
_XML = ("labels", "Annotations", "annotations", "xml")
_LINES = "txt"


@dataclass(frozen=True, slots=True)
class _Domain:
    name: str
    pictures: Path
    annotations: Path

    @property
    def is_annotated(self) -> bool:
        """Whether there are XML files, or a folder of lines of text."""
        return self.annotations.name == _LINES or bool(files_in(self.annotations, ".xml"))

    def objects_of(self, stem: str, report: FaultReport) -> Objects | None:
        if self.annotations.name != _LINES:
            return objects_of(self.annotations / f"{stem}.xml", report)
        boxes = boxes_of(self.annotations / f"{stem}.txt", report)
        return None if boxes is None else Objects(None, boxes)


def read(root: Path, *, split: str | None = None, report: FaultReport = refuse) -> Iterator[ScanRecord]:
    """Read every domain; a record's scanner is the domain.

    Args:
        root: the folder that holds the domains' folders.
        split: ``train`` or ``val``; both when not given.
        report: hears of every fault.

    Raises:
        DatasetError: by the default report, at the first fault.
    """
    domains = _domains(root)
    if not domains:
        report(missing(root, "no folder with images/ and labels/, or with image/ and txt/, is there"))
    for domain in domains:
        pictures = pictures_by_stem(domain.pictures)
        for stem, found in _splits(root / domain.name, list(pictures), report).items():
            if not wanted(found, split):
                continue
            picture = pictures.get(stem)
            if picture is None:
                where = str(domain.pictures / f"{stem}.jpg")
                report(Fault(FaultKind.MISSING_IMAGE, where, "a list names it, but it is not there"))
            elif record := _record(domain, stem, picture, found, report):
                yield record


def recognises(root: Path) -> bool:
    """Whether folders below are laid out like EDS's domains and hold its kinds of file, not those of a YOLO export."""
    return not (root / "data.yaml").exists() and any(domain.is_annotated for domain in _domains(root))


def _domains(root: Path) -> list[_Domain]:
    domains = []
    for folder in folders_in(root) if root.is_dir() else ():
        pictures = [folder / name for name in _PICTURES if (folder / name).is_dir()]
        annotations = [folder / name for name in (*_XML, _LINES) if (folder / name).is_dir()]
        if pictures and annotations:
            found = [_Domain(folder.name, pictures[0], annotated) for annotated in annotations]
            domains.append(next((domain for domain in found if domain.is_annotated), found[0]))
    return domains


def _splits(folder: Path, stems: list[str], report: FaultReport) -> dict[str, str]:
    """The split of each scan; one that both lists name is for validation."""
    lists = {name: folder / f"{name}.txt" for name in ("train", "val")}
    if not any(path.is_file() for path in lists.values()):
        return dict.fromkeys(stems, "train")
    return {stem: name for name, path in lists.items() for stem in listed(path, report)}


def _record(domain: _Domain, stem: str, picture: Path, split: str, report: FaultReport) -> ScanRecord | None:
    size = size_of(picture, report)
    objects = domain.objects_of(stem, report) if size else None
    if size is None or objects is None:
        return None
    boxes = place(
        objects.boxes,
        picture=size,
        declared=objects.declared,
        naming=folded_names_of(SOURCE),
        where=str(picture),
        report=report,
    )
    if boxes is None:
        return None
    group = f"{domain.name}/{stem}"
    return ScanRecord(picture, SOURCE, domain.name, split, group, block_of(group, group), boxes, labels_of(SOURCE))
