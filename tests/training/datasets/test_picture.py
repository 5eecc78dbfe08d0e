from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from xray_training.datasets.fault import Fault, FaultKind
from xray_training.datasets.folders import pictures_in
from xray_training.datasets.picture import size_of
from xray_training.datasets.record import DatasetError, ScanRecord

from tests.training.datasets.trees import picture


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


HEADER = (b"IHDR", struct.pack(">IIBBBBB", 4, 3, 8, 0, 0, 0, 0))
PIXELS = (b"IDAT", zlib.compress(bytes(15)))
DAMAGED = {
    "text too long": png_of(HEADER, (b"zTXt", b"a\0\0" + zlib.compress(bytes(2_000_000))), PIXELS, (b"IEND", b"")),
    "a broken chunk amid the pixels": png_of(HEADER, (b"IDAT", PIXELS[1][:6])) + bytes(40),
    "a header too short": png_of((b"IHDR", b"12")),
    "too many pixels": png_of((b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)), PIXELS),
}


def record_of(path: Path) -> ScanRecord:
    return ScanRecord(path, "north", "north", "train", "g", "b", (), frozenset())


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_png_is_a_dataset_error_and_never_anything_else(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(DAMAGED[damage])
    with pytest.raises(DatasetError, match=r"a\.png cannot be read"):
        record_of(path).pixels()
    faults: list[Fault] = []
    size = size_of(path, faults.append)
    assert size == (4, 3) or [fault.kind for fault in faults] == [FaultKind.UNREADABLE_IMAGE]


def test_webp_is_a_picture(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.WEBP", (40, 30), (10, 5, 30, 20))
    assert pictures_in(tmp_path) == [path]
    assert record_of(path).pixels().shape == (30, 40, 3)
