from __future__ import annotations

import base64
import os
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image, ImageFile

from tests.library.pictures import bag, encoded
from xray_agent_tools.errors import AccessDenied, InvalidScan, Misconfigured, ScanTooLarge, XrayToolsError
from xray_agent_tools.scan import Scan, ScanLimits, load_scan, scan_id_of

BASE64 = base64.b64encode(encoded(bag())).decode()


def test_every_way_to_give_a_picture_gives_the_same_pixels(tmp_path: Path) -> None:
    path = tmp_path / "bag.png"
    path.write_bytes(encoded(bag()))
    sources: list[Any] = [
        path,
        str(path),
        path.read_bytes(),
        bytearray(path.read_bytes()),
        BASE64,
        f"data:image/png;base64,{BASE64}",
        bag(),
        Image.fromarray(bag()),
    ]
    for source in sources:
        assert np.array_equal(load_scan(source).views[0].pixels, bag())


def test_the_identity_of_a_file_does_not_depend_on_how_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "bag.png"
    path.write_bytes(encoded(bag()))
    assert load_scan(path).scan_id == load_scan(BASE64).scan_id == load_scan(path.read_bytes()).scan_id


def test_a_list_of_pictures_are_views_of_one_bag() -> None:
    scan = load_scan([bag(), bag(200, 120)])
    assert [(view.width, view.height) for view in scan.views] == [(300, 200), (200, 120)]
    assert scan.sha256 not in {view.sha256 for view in scan.views}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4))
@settings(max_examples=20)
def test_the_identifier_of_encoded_views_is_known_before_they_are_decoded(chosen: list[int]) -> None:
    kinds = [encoded(bag()), encoded(bag(200, 120)), encoded(bag(), "JPEG"), encoded(bag(120, 200), "BMP")]
    contents = [kinds[index] for index in chosen]
    assert scan_id_of(contents) == load_scan(contents).scan_id


def test_a_scan_passes_through_unchanged() -> None:
    scan = load_scan(bag())
    assert load_scan(scan) is scan


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_the_format_is_told_by_content_and_not_by_name(tmp_path: Path, form: str) -> None:
    path = tmp_path / "scan.txt"
    path.write_bytes(encoded(bag(), form))
    assert load_scan(path).views[0].pixels.shape == (200, 300, 3)


@pytest.mark.parametrize(("bits", "highest"), [(10, 1023), (12, 4095), (14, 16383), (16, 65535)])
def test_deep_greyscale_is_scaled_by_its_bit_depth(bits: int, highest: int) -> None:
    values = np.linspace(0, highest, 256 * 100).reshape(100, 256).astype(np.uint16)
    pixels = load_scan(values).views[0].pixels
    assert pixels.min() == 0
    assert pixels.max() == 255


def test_a_sixteen_bit_png_is_read_as_deep_greyscale() -> None:
    values = np.linspace(0, 65535, 100 * 100).reshape(100, 100).astype(np.uint16)
    view = load_scan(encoded(values)).views[0]
    assert view.greyscale
    assert np.array_equal(view.pixels, load_scan(values).views[0].pixels)


def test_transparency_becomes_the_white_of_an_empty_belt() -> None:
    rgba = np.zeros((80, 80, 4), dtype=np.uint8)
    assert load_scan(rgba).views[0].pixels.min() == 255
    assert load_scan(encoded(rgba)).views[0].pixels.min() == 255


def test_exif_orientation_is_honoured() -> None:
    picture = Image.fromarray(bag())
    exif = picture.getexif()
    exif[0x0112] = 6
    buffer = BytesIO()
    picture.save(buffer, format="JPEG", exif=exif)
    assert load_scan(buffer.getvalue()).views[0].pixels.shape == (300, 200, 3)


def test_a_view_knows_whether_it_carries_pseudo_colour() -> None:
    assert not load_scan(bag()).views[0].greyscale
    assert load_scan(bag()[..., 0]).views[0].greyscale


def test_pixels_cannot_be_changed_behind_the_identity() -> None:
    with pytest.raises(ValueError, match="read-only"):
        load_scan(bag()).views[0].pixels[0, 0] = 0


def animated_gif() -> bytes:
    buffer = BytesIO()
    frames = [Image.new("RGB", (80, 80), colour) for colour in ("white", "black")]
    frames[0].save(buffer, format="GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def pages(count: int) -> bytes:
    buffer = BytesIO()
    frames = [Image.new("RGB", (80, 80), (index, 9, 9)) for index in range(count)]
    frames[0].save(buffer, format="TIFF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def cmyk() -> bytes:
    buffer = BytesIO()
    Image.new("CMYK", (80, 80)).save(buffer, format="JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not a picture", id="text"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", id="svg"),
        pytest.param(b"%PDF-1.7", id="pdf"),
        pytest.param(animated_gif(), id="animated gif"),
        pytest.param(pages(2), id="two pages"),
        pytest.param(cmyk(), id="cmyk"),
        pytest.param(encoded(bag())[:200], id="truncated png"),
        pytest.param(encoded(bag(), "JPEG")[:400], id="truncated jpeg"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + b"\x00" * 40, id="broken header"),
        pytest.param(bytes(1_000_000), id="a megabyte of zeros"),
    ],
)
def test_what_is_no_scan_gets_a_typed_error_with_a_hint(content: bytes) -> None:
    with pytest.raises(InvalidScan) as caught:
        load_scan(content)
    assert caught.value.hint


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(np.zeros((0, 5), np.uint8), id="empty"),
        pytest.param(np.zeros((5, 5, 2), np.uint8), id="two channels"),
        pytest.param(np.zeros(5, np.uint8), id="one dimension"),
        pytest.param(np.zeros((2, 2, 2, 2), np.uint8), id="four dimensions"),
        pytest.param(np.full((80, 80), np.nan), id="NaN"),
        pytest.param(np.full((80, 80), np.inf), id="infinite"),
        pytest.param(np.full((80, 80), 3.0), id="beyond one"),
        pytest.param(np.full((80, 80), -1, np.int32), id="signed"),
        pytest.param(np.zeros((80, 80), bool), id="booleans"),
        pytest.param(np.array([["a"]], dtype=object), id="objects"),
        pytest.param(np.ma.masked_array(np.zeros((80, 80), np.uint8), mask=True), id="masked"),
        pytest.param(None, id="nothing"),
        pytest.param(7, id="a number"),
        pytest.param({}, id="a mapping"),
        pytest.param([], id="no views"),
        pytest.param([[bag()]], id="nested views"),
    ],
)
def test_what_is_no_picture_gets_a_typed_error(source: Any) -> None:
    with pytest.raises(InvalidScan):
        load_scan(source)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [6_000, 10_000, 20_000, 200_000])
def test_a_huge_picture_is_refused_before_it_is_decoded(side: int) -> None:
    with pytest.raises(ScanTooLarge):
        load_scan(png_header(side, side))


def test_blanks_in_an_endless_line_are_refused_and_not_backtracked_over() -> None:
    with pytest.raises(InvalidScan):
        load_scan(" " * 1_000_000 + "!")


def test_truncated_pictures_are_refused_even_if_pillow_was_told_to_accept_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(Misconfigured):
        load_scan(encoded(bag())[:-300])


def test_limits_hold_for_bytes_arrays_and_views() -> None:
    tight = ScanLimits(max_bytes=100, max_pixels=1000, max_views=2)
    for source in (encoded(bag()), BASE64, bag(), Image.fromarray(bag()), [bag()] * 3):
        with pytest.raises(ScanTooLarge):
            load_scan(source, limits=tight)


def test_a_folder_a_device_and_a_missing_file_are_no_scans(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for source in (tmp_path, "/dev/zero", fifo, tmp_path / "missing.png", "missing.png", "\x00", "a\nb", "é" * 5000):
        with pytest.raises(InvalidScan):
            load_scan(source)


@pytest.mark.parametrize(
    "url", ["https://example.org/scan.png", "http://127.0.0.1/x", "file:///etc/passwd", "S3://b/k"]
)
def test_no_url_is_fetched(url: str) -> None:
    with pytest.raises(AccessDenied, match="not fetched"):
        load_scan(url)


@pytest.mark.parametrize("uri", ["data:image/png,abc", "data:;base64", "data:image/png;base64,!!!", "data:"])
def test_a_broken_data_uri_is_refused(uri: str) -> None:
    with pytest.raises(InvalidScan):
        load_scan(uri)


def test_paths_outside_the_roots_are_denied_links_resolved(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "bag.png").write_bytes(encoded(bag()))
    (outside / "bag.png").write_bytes(encoded(bag()))
    (inside / "link.png").symlink_to(outside / "bag.png")
    assert isinstance(load_scan(inside / "bag.png", roots=[inside]), Scan)
    for path in (outside / "bag.png", inside / "link.png", inside / ".." / "outside" / "bag.png"):
        with pytest.raises(AccessDenied):
            load_scan(path, roots=[inside])


@given(st.binary(max_size=3000))
def test_arbitrary_bytes_never_escape_the_typed_errors(content: bytes) -> None:
    with pytest.raises(XrayToolsError):
        load_scan(content)


@given(st.text(max_size=300))
def test_arbitrary_text_never_escapes_the_typed_errors(text: str) -> None:
    with pytest.raises(XrayToolsError):
        load_scan(text)


@given(position=st.integers(0, 2000), value=st.integers(0, 255), form=st.sampled_from(["PNG", "JPEG", "TIFF", "WEBP"]))
@settings(deadline=None)
def test_a_flipped_byte_gives_a_scan_or_a_typed_error(position: int, value: int, form: str) -> None:
    content = bytearray(encoded(bag(), form))
    content[position % len(content)] = value
    try:
        assert load_scan(content).views[0].pixels.dtype == np.uint8
    except XrayToolsError as error:
        assert error.hint


@given(npst.arrays(dtype=npst.scalar_dtypes(), shape=npst.array_shapes(max_dims=4, max_side=12)))
@settings(deadline=None)
def test_an_arbitrary_array_gives_a_scan_or_a_typed_error(array: np.ndarray[Any, Any]) -> None:
    try:
        pixels = load_scan(array).views[0].pixels
    except XrayToolsError as error:
        assert error.hint
    else:
        assert pixels.shape == (*array.shape[:2], 3)
