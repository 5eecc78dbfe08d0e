from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageColor
from xray_training.commands.inspect import preview
from xray_training.datasets.overlay import TILE_PX, Block, Tile, colour_of, sheet, tile_of
from xray_training.datasets.record import LabelledBox, ScanRecord

from tests.training.datasets.bags import change_manifest, label_file, picture, write_bags

WHITE = np.full((60, 80, 3), 255, dtype=np.uint8)


def run(root: Path, out: Path, *options: str) -> Result:
    return CliRunner().invoke(preview, [str(root), "--out", str(out), *options], catch_exceptions=False)


def pixels_of(file: Path) -> np.ndarray:
    with Image.open(file) as page:
        return np.asarray(page.convert("RGB"))


def has(pixels: np.ndarray, colour: str) -> bool:
    return bool((pixels == ImageColor.getrgb(colour)).all(axis=-1).sum() > 50)


@pytest.fixture
def bags(tmp_path: Path) -> Path:
    return write_bags(tmp_path / "bags")


def test_a_sheet_shows_scans_with_a_box_in_the_colour_of_its_group(bags: Path, tmp_path: Path) -> None:
    result = run(bags, tmp_path / "sheet.png", "--count", "5", "--columns", "3")
    assert result.exit_code == 0, result.output
    page = pixels_of(tmp_path / "sheet.png")
    assert page.shape[1] > 3 * TILE_PX[0]
    assert page.shape[0] > 2 * TILE_PX[1]
    assert has(page, colour_of("knife"))
    assert has(page, colour_of("gun"))
    assert colour_of("knife") != colour_of("gun")


def test_the_seed_decides_which_scans_are_drawn(bags: Path, tmp_path: Path) -> None:
    pages = []
    for number, seed in enumerate(("1", "1", "2")):
        run(bags, tmp_path / f"{number}.png", "--count", "4", "--seed", seed)
        pages.append((tmp_path / f"{number}.png").read_bytes())
    assert pages[0] == pages[1] != pages[2]


def test_only_scans_of_a_label_are_drawn(bags: Path, tmp_path: Path) -> None:
    for number in range(2, 28):
        label_file(bags, number).write_text("0 0.5 0.5 0.2 0.2\n")
    run(bags, tmp_path / "gun.png", "--label", "gun")
    run(bags, tmp_path / "all.png", "--columns", "2")
    gun, everything = pixels_of(tmp_path / "gun.png"), pixels_of(tmp_path / "all.png")
    assert gun.shape[1] == everything.shape[1]
    assert gun.shape[0] < everything.shape[0] / 5


def test_each_scanner_has_its_turn(bags: Path, tmp_path: Path) -> None:
    change_manifest(bags, 0, {"scanner": "north-2"})
    Image.new("RGB", (160, 120), (255, 0, 255)).save(picture(bags, 0))
    for seed in range(4):
        run(bags, tmp_path / "sheet.png", "--count", "2", "--seed", str(seed))
        assert has(pixels_of(tmp_path / "sheet.png"), "#ff00ff")


def test_only_one_scanner_is_drawn_when_asked(bags: Path, tmp_path: Path) -> None:
    change_manifest(bags, 0, {"scanner": "north-2"})
    run(bags, tmp_path / "one.png", "--only", "north-2")
    run(bags, tmp_path / "others.png", "--only", "north-1")
    assert pixels_of(tmp_path / "one.png").size < pixels_of(tmp_path / "others.png").size / 10
    refused = run(bags, tmp_path / "none.png", "--only", "south")
    assert refused.exit_code == 1
    assert "there is north, north-1, north-2" in refused.output


def test_two_folders_are_shown_side_by_side_and_the_second_may_be_mere_pictures(bags: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    for number in range(3):
        Image.new("RGB", (90 + number, 60), (0, 200, 200)).save(tmp_path / "plain" / f"{number}.png")
    result = run(bags, tmp_path / "sheet.png", "--beside", str(tmp_path / "plain"), "--count", "4", "--columns", "4")
    assert result.exit_code == 0, result.output
    page = pixels_of(tmp_path / "sheet.png")
    middle = page.shape[1] // 2
    assert has(page[:, :middle], colour_of("knife"))
    assert not has(page[:, :middle], "#00c8c8")
    assert has(page[:, middle:], "#00c8c8")
    assert not has(page[:, middle:], colour_of("knife"))


def test_a_label_that_no_scan_has_is_refused_with_those_there_are(bags: Path, tmp_path: Path) -> None:
    result = run(bags, tmp_path / "sheet.png", "--label", "hammer")
    assert result.exit_code == 1
    assert "there is gun, knife" in result.output


def test_a_damaged_picture_is_named(bags: Path, tmp_path: Path) -> None:
    for number in range(28):
        picture(bags, number).write_bytes(b"damaged")
    result = run(bags, tmp_path / "sheet.png")
    assert result.exit_code == 1
    assert "north_" in result.output


def test_a_sheet_that_cannot_be_written_is_told(bags: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    result = run(bags, tmp_path / "file" / "sheet.png")
    assert result.exit_code == 1
    assert f"{tmp_path / 'file'}: " in result.output


def test_a_cropped_scan_keeps_its_boxes_on_their_items(tmp_path: Path) -> None:
    pixels = np.full((400, 600, 3), 255, dtype=np.uint8)
    pixels[150:300, 200:420] = (210, 170, 120)
    pixels[200:240, 260:330] = (20, 40, 120)
    Image.fromarray(pixels).save(tmp_path / "scan.png")
    box = LabelledBox("knife", 260 / 600, 200 / 400, 330 / 600, 240 / 400)
    record = ScanRecord(tmp_path / "scan.png", "s", "s", "train", "g", "b", (box,), frozenset({"knife"}))
    tile = tile_of(record)
    height, width = tile.pixels.shape[:2]
    assert height < 250
    assert width < 320
    (shown,) = tile.boxes
    corners = np.array([shown.x_min * width, shown.y_min * height, shown.x_max * width, shown.y_max * height])
    left, top, right, bottom = np.round(corners).astype(int)
    assert (tile.pixels[top:bottom, left:right] == (20, 40, 120)).all()
    assert (tile.pixels == (20, 40, 120)).all(axis=-1).sum() == (right - left) * (bottom - top)
    assert tile_of(record, cropped=False).pixels.shape == (400, 600, 3)


def test_a_box_in_the_empty_belt_is_not_cropped_away(tmp_path: Path) -> None:
    pixels = np.full((400, 600, 3), 255, dtype=np.uint8)
    pixels[150:300, 200:420] = (210, 170, 120)
    Image.fromarray(pixels).save(tmp_path / "scan.png")
    box = LabelledBox("knife", 0.9, 0.9, 1.0, 1.0)
    (shown,) = tile_of(ScanRecord(tmp_path / "scan.png", "s", "s", "", "", "", (box,), frozenset())).boxes
    assert (shown.x_max, shown.y_max) == pytest.approx((1, 1))


def test_long_captions_stay_in_their_column() -> None:
    page = np.asarray(sheet([Block([Tile(WHITE, (), ("i" * 500, "W" * 500))], 1)], title="M" * 300))
    assert (page[:, -10:] == 255).all()


def test_a_label_outside_the_taxonomy_is_drawn_too() -> None:
    tile = Tile(WHITE, (LabelledBox("widget", 0.2, 0.2, 0.6, 0.6),), ())
    assert has(np.asarray(sheet([Block([tile], 1)], title="")), colour_of("widget"))
