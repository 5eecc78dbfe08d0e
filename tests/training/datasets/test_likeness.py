from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image
from xray_training.commands.inspect import compare
from xray_training.datasets.likeness import MEANINGS, look_of, wasserstein

from tests.training.datasets.bags import bag, write_bags

samples = arrays(np.float64, st.integers(1, 20), elements=st.floats(-100, 100))


def filled(colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A bag of one colour on a white belt."""
    pixels = np.full((200, 300, 3), 255, dtype=np.uint8)
    pixels[40:160, 50:250] = colour
    return pixels


def compared(first: Path, second: Path, out: Path, *options: str) -> dict[str, Any]:
    command = [str(first), str(second), "--out", str(out), *options]
    result = CliRunner().invoke(compare, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads((out / "likeness.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize(
    ("colour", "share"),
    [
        ((188, 138, 70), "orange_share"),
        ((124, 168, 104), "green_share"),
        ((76, 114, 182), "blue_share"),
        ((150, 60, 160), "other_hue_share"),
        ((120, 120, 120), "grey_share"),
        ((10, 10, 12), "black_share"),
    ],
)
def test_a_bag_of_one_colour_has_its_share(colour: tuple[int, int, int], share: str) -> None:
    look = look_of(filled(colour))
    shares = {name: value for name, value in look.items() if name.endswith("_share") and name != "edge_share"}
    assert shares[share] > 0.8
    assert sum(shares.values()) == pytest.approx(1)
    assert look["content_fill"] == pytest.approx(212 * 132 / 60_000)


def test_noise_is_measured_in_grey_levels() -> None:
    grain = np.random.default_rng(0).normal(0, 4, (200, 300, 1))
    noisy = np.clip(np.where(filled((120, 120, 120)) < 255, 120 + grain, 255), 0, 255).astype(np.uint8)
    assert look_of(filled((120, 120, 120)))["noise"] == 0
    assert look_of(noisy)["noise"] == pytest.approx(4, rel=0.1)


def test_blur_takes_away_edges_and_makes_the_spectrum_steeper() -> None:
    pixels, _ = bag(0)
    sharp = Image.fromarray(pixels)
    blurred = sharp.resize((40, 30), Image.Resampling.BOX).resize(sharp.size, Image.Resampling.BICUBIC)
    before, after = look_of(pixels), look_of(np.asarray(blurred))
    assert after["edge_share"] < before["edge_share"]
    assert after["spectral_slope"] < before["spectral_slope"] - 0.5


def test_every_figure_is_measured_on_pictures_of_any_size() -> None:
    for size in ((1, 1), (3, 200), (40, 40), (300, 500)):
        look = look_of(np.full((*size, 3), 200, dtype=np.uint8))
        assert set(look) == set(MEANINGS)
        assert all(np.isfinite(value) for value in look.values())


@given(one=samples, other=samples, shift=st.floats(-50, 50))
def test_the_distance_is_a_metric_and_a_shift_is_its_own_size(
    one: NDArray[np.float64], other: NDArray[np.float64], shift: float
) -> None:
    assert wasserstein(one, one) == pytest.approx(0)
    assert wasserstein(one, other) == pytest.approx(wasserstein(other, one))
    assert wasserstein(one, one + shift) == pytest.approx(abs(shift), abs=1e-9)
    assert wasserstein(one, other) >= abs(one.mean() - other.mean()) - 1e-9
    repeated = np.concatenate([other, other])
    assert wasserstein(one, repeated) == pytest.approx(wasserstein(one, other))


def test_a_folder_is_like_itself_and_unlike_darker_scans(tmp_path: Path) -> None:
    bags = write_bags(tmp_path / "bags")
    (tmp_path / "dark").mkdir()
    for seed in range(8):
        Image.fromarray((bag(seed)[0] * 0.6).astype(np.uint8)).save(tmp_path / "dark" / f"{seed}.png")
    same = compared(bags, bags, tmp_path / "same")
    dark = compared(bags, tmp_path / "dark", tmp_path / "out")
    assert same["distance"] == pytest.approx(0)
    assert dark["distance"] > 0.5
    brightness = next(row for row in dark["statistics"] if row["name"] == "brightness_mean")
    assert brightness["second"]["mean"] < brightness["first"]["mean"] - 30
    assert (dark["first"], dark["second"], dark["first_scans"], dark["second_scans"]) == ("bags", "dark", 28, 8)


def test_the_page_puts_the_figures_that_differ_most_first(tmp_path: Path) -> None:
    bags = write_bags(tmp_path / "bags")
    found = compared(bags, bags, tmp_path / "out", "--count", "5", "--split", "test")
    page = (tmp_path / "out" / "LIKENESS.md").read_text(encoding="utf-8")
    distances = [float(line.split("|")[4]) for line in page.splitlines() if line.startswith("| ") and "(" in line]
    assert len(distances) == len(MEANINGS) == len(found["statistics"])
    assert distances == sorted(distances, reverse=True)
    assert found["first_scans"] == 5


def test_a_folder_with_one_scan_cannot_be_compared(tmp_path: Path) -> None:
    bags = write_bags(tmp_path / "bags")
    (tmp_path / "one").mkdir()
    Image.fromarray(bag(0)[0]).save(tmp_path / "one" / "a.png")
    result = CliRunner().invoke(compare, [str(bags), str(tmp_path / "one"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "two or more can be compared" in result.output
