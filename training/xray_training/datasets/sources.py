"""Every dataset and format that can be read, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from xray_training.datasets import (
    cargoxray,
    clcxray,
    coco,
    compass_xp,
    dvxray,
    eds,
    hixray,
    labelme,
    luggage_xray,
    opixray,
    parquet,
    partial_yolo,
    pidray,
    sixray,
    stcray,
    voc,
    yolo,
)
from xray_training.datasets.fault import FaultReport, refuse
from xray_training.datasets.record import DatasetError, ScanRecord

ACADEMIC = "academic use only, no commercial use"
UNSTATED = "none stated"


class Reader(Protocol):
    """Reads the scans below a folder, in a fixed order, one split or all."""

    def __call__(self, root: Path, *, split: str | None = None, report: FaultReport = refuse) -> Iterable[ScanRecord]:
        """Read the folder; faults go to the report."""


@dataclass(frozen=True, slots=True)
class Source:
    """A dataset or a format.

    Attributes:
        name: what ``--from`` calls it.
        title: its name in prose.
        read: its reader.
        recognises: whether a folder is laid out like it.
        licence: what its authors allow, in a few words; empty for a format.
        home: where it is described; empty for a format.
        steps: how a person gets it.
    """

    name: str
    title: str
    read: Reader
    recognises: Callable[[Path], bool]
    licence: str = ""
    home: str = ""
    steps: str = ""

    @property
    def is_format(self) -> bool:
        """Whether it is a format, which folders of a dataset may have too."""
        return not self.home


_DATASETS = (
    Source(
        "stcray",
        "STCray",
        stcray.read,
        stcray.recognises,
        licence="access on request; Apache-2.0 by its card, CC BY 4.0 by another project: ask before you publish",
        home="https://huggingface.co/datasets/Naoufel555/STCray-Dataset",
        steps="Ask for access on the dataset's page and log in with your Hugging Face token. Fetch STCray_TrainSet.rar "
        "and STCray_TestSet.rar and unpack both into one folder.",
    ),
    Source(
        "luggage_xray",
        "Luggage X-ray (Roboflow yolov5xray)",
        luggage_xray.read,
        luggage_xray.recognises,
        licence="unclear: very likely a copy of CLCXray's training and validation scans, so academic use only",
        home="https://universe.roboflow.com",
        steps="Export version 1 of the Roboflow project yolov5xray as OpenAI JSONL with your own key and unpack it. The "
        "export holds no pictures: `xray-train data download` fetches them into images/.",
    ),
    Source(
        "cargoxray",
        "CargoXray (Roboflow)",
        cargoxray.read,
        cargoxray.recognises,
        licence=UNSTATED,
        home="https://universe.roboflow.com",
        steps="Export the Roboflow project CargoXray as COCO segmentation with your own key and unpack it.",
    ),
    Source(
        "opixray",
        "OPIXray",
        opixray.read,
        opixray.recognises,
        licence=ACADEMIC,
        home="https://github.com/OPIXray-author/OPIXray",
        steps="Ask the authors for it, by the address in their repository. Unpack it and name the folder that holds "
        "train and test.",
    ),
    Source(
        "hixray",
        "HiXray",
        hixray.read,
        hixray.recognises,
        licence=ACADEMIC,
        home="https://github.com/HiXray-author/HiXray",
        steps="Ask the authors for it, by their repository. Unpack it and name the folder that holds train and test.",
    ),
    Source(
        "pidray",
        "PIDray",
        pidray.read,
        pidray.recognises,
        licence=ACADEMIC,
        home="https://github.com/lutao2021/PIDray",
        steps="Fetch the archives that the repository links to. Unpack annotations, train, easy, hard and hidden into "
        "one folder.",
    ),
    Source(
        "sixray",
        "SIXray",
        sixray.read,
        sixray.recognises,
        licence=ACADEMIC,
        home="https://github.com/MeioJane/SIXray",
        steps="Fetch the parts that the repository links to and test each archive: parts are often corrupt. Take "
        "Annotation.zip, which annotates all positives; positive-Annotation.zip holds those of the test scans only.",
    ),
    Source(
        "clcxray",
        "CLCXray",
        clcxray.read,
        clcxray.recognises,
        licence=ACADEMIC,
        home="https://github.com/GreysonPhoenix/CLCXray",
        steps="Fetch the archive that the repository links to and unpack it.",
    ),
    Source(
        "dvxray",
        "DvXray",
        dvxray.read,
        dvxray.recognises,
        licence=UNSTATED,
        home="https://github.com/Mbwslib/DvXray",
        steps="Fetch the archives of positive and of negative samples that the repository links to and unpack both into "
        "one folder.",
    ),
    Source(
        "eds",
        "EDS",
        eds.read,
        eds.recognises,
        licence=ACADEMIC,
        home="https://github.com/DIG-Beihang/XrayDetection",
        steps="Ask the authors for it, by their repository. Unpack the three domains side by side into one folder.",
    ),
    Source(
        "compass_xp",
        "COMPASS-XP",
        compass_xp.read,
        compass_xp.recognises,
        licence="by the record on Zenodo",
        home="https://zenodo.org/records/2654887",
        steps="Download the archive from Zenodo and unpack it. Name the folder that holds meta.txt.",
    ),
)

_FORMATS = (
    Source(
        "annotated_yolo",
        "annotated YOLO folder",
        partial_yolo.read,
        lambda root: (root / "manifest.csv").is_file(),
        steps="`xray-train data convert` and `xray-train data simulate` write it.",
    ),
    Source(
        "parquet",
        "Hugging Face Parquet",
        parquet.read,
        parquet.recognises,
        steps="`xray-train data convert` writes it.",
    ),
    Source(
        "coco", "COCO", coco.read, coco.recognises, steps="Export your own scans as COCO with canonical class names."
    ),
    Source(
        "yolo",
        "plain YOLO folder",
        yolo.read,
        yolo.recognises,
        steps="Export your own scans as YOLO with canonical class names.",
    ),
    Source("voc", "Pascal VOC", voc.read, voc.recognises, steps="Annotate your own scans with canonical class names."),
    Source(
        "labelme",
        "LabelMe",
        labelme.read,
        labelme.recognises,
        steps="Annotate your own scans with canonical class names.",
    ),
)

SOURCES: dict[str, Source] = {source.name: source for source in (*_DATASETS, *_FORMATS)}


def source_of(root: Path, name: str | None = None) -> Source:
    """The source that a folder holds: the one named, or the only one that recognises it.

    A dataset goes before the format it comes in.

    Raises:
        DatasetError: the name is unknown, or no source, or more than one, recognises the folder.
    """
    if name is not None:
        if name not in SOURCES:
            raise DatasetError(f"no source is called {name!r}; there are {', '.join(sorted(SOURCES))}")
        return SOURCES[name]
    fitting = [source for source in SOURCES.values() if source.recognises(root)]
    fitting = [source for source in fitting if not source.is_format] or fitting
    if len(fitting) != 1:
        found = " and ".join(source.name for source in fitting) or "no known source"
        raise DatasetError(f"{root} looks like {found}; say which with --from")
    return fitting[0]
