"""Where scans may be read from, and that nothing outside shows whether it is there."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.library.pictures import ScriptedDetector, bag, encoded, found
from xray_agent_tools.adapters import openai
from xray_agent_tools.errors import AccessDenied, InvalidScan, ScanNotFound, ScanTooLarge, XrayToolsError
from xray_agent_tools.scan import Scan, ScanLimits, load_scan, read_content
from xray_agent_tools.screener import Screener

PICTURE = encoded(bag())
BASE64 = base64.b64encode(PICTURE).decode()
URL_SAFE = base64.urlsafe_b64encode(PICTURE).decode()
LIKE_BASE64 = "QUFB" * 16


@dataclass(frozen=True)
class Place:
    """A folder that may be read, and one beside it that may not.

    ``lane`` is the root and holds ``bag.png``. ``office`` lies outside: everything in it named ``seen`` exists,
    and nothing named ``gone`` does.
    """

    lane: Path
    office: Path

    def answer(self, source: str | Path) -> tuple[object, ...]:
        """What a caller learns: that it is a scan, or the whole error but for the name that the caller gave."""
        try:
            return ("scan", load_scan(source, roots=[self.lane]).scan_id)
        except XrayToolsError as error:
            fields = error.as_dict()["error"].values()
            return (type(error), *(str(field).replace("gone", "seen") for field in fields))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("place").resolve()
    lane, office = folder / "lane", folder / "office"
    lane.mkdir()
    office.mkdir()
    (lane / "bag.png").write_bytes(PICTURE)
    (office / "seen.png").write_bytes(PICTURE)
    (office / "seen.txt").write_text("a note")
    (office / "seen").mkdir()
    (office / "seen" / "bag.png").write_bytes(PICTURE)
    (office / "seen-loop").symlink_to(office / "seen-loop")
    (office / "seen-link").symlink_to(office / "seen")
    (office / "seen-away").symlink_to("/")
    (office / f"seen{LIKE_BASE64}").write_bytes(PICTURE)
    (office / ("seen" + "n" * 240)).write_bytes(PICTURE)
    os.mkfifo(office / "seen-fifo")
    (office / "seen-closed").mkdir(mode=0)
    (lane / "to-office").symlink_to(office)
    (lane / "to-seen.png").symlink_to(office / "seen.png")
    (lane / "to-gone.png").symlink_to(office / "gone.png")
    return Place(lane, office)


OUTSIDE = [
    "seen.png",
    "seen.txt",
    "seen",
    "seen/bag.png",
    "seen/",
    "seen/.",
    "seen.png/",
    "seen.png/more.png",
    "seen-loop",
    "seen-link",
    "seen-link/bag.png",
    "seen-fifo",
    "seen-closed",
    "seen-closed/seen.png",
    f"seen{LIKE_BASE64}",
    "seen" + "n" * 240,
    "seen" + "n" * 5000,
    "./seen.png",
    "seen/../seen.png",
    "seen-away/seen.png",
]
WAYS: dict[str, Callable[[Place, str], str]] = {
    "absolute": lambda place, name: f"{place.office}/{name}",
    "through dots": lambda place, name: f"{place.lane}/../office/{name}",
    "through more dots": lambda place, name: f"{place.lane}/x/../../office/{name}",
    "relative to the working directory": lambda place, name: os.path.relpath(place.office) + f"/{name}",
    "through a symbolic link": lambda place, name: f"{place.lane}/to-office/{name}",
    "doubled slashes": lambda place, name: f"{place.lane}//..//office//{name}",
}


@pytest.mark.parametrize("name", OUTSIDE, ids=lambda name: name[:25])
@pytest.mark.parametrize("way", WAYS)
def test_what_lies_outside_answers_alike_whether_it_is_there_or_not(place: Place, way: str, name: str) -> None:
    there = WAYS[way](place, name)
    assert place.answer(there) == place.answer(there.replace("seen", "gone"))
    assert place.answer(there)[0] != "scan"


@pytest.mark.parametrize("name", ["seen.png", "seen.txt", "seen", "seen/bag.png", "seen-loop", "seen-closed"])
@pytest.mark.parametrize("way", WAYS)
def test_a_path_object_tells_no_more_than_text(place: Place, way: str, name: str) -> None:
    there = WAYS[way](place, name)
    assert place.answer(Path(there)) == place.answer(Path(there.replace("seen", "gone")))
    assert place.answer(Path(there))[0] is AccessDenied


@pytest.mark.parametrize("stop", ["seen", "seen.png", "seen-link", "seen-away", "seen-loop", "seen-closed"])
@pytest.mark.parametrize("start", ["{lane}/../office", "{office}", "{lane}/to-office"])
def test_a_path_that_leaves_and_comes_back_tells_nothing_of_where_it_passed(
    place: Place, start: str, stop: str
) -> None:
    passed = f"{start.format(lane=place.lane, office=place.office)}/{stop}/../../lane/bag.png"
    assert place.answer(passed) == place.answer(passed.replace("seen", "gone"))
    assert place.answer(Path(passed)) == place.answer(Path(passed.replace("seen", "gone")))


@pytest.mark.parametrize("name", ["to-seen.png", "to-gone.png", "to-office", "to-office/seen.png"])
def test_a_link_in_the_root_that_leads_out_is_denied_wherever_it_points(place: Place, name: str) -> None:
    for source in (f"{place.lane}/{name}", place.lane / name):
        assert place.answer(source)[0] is AccessDenied


names = st.text(max_size=30).filter(
    lambda name: name.isprintable() and "seen" not in name and not {".", ".."} & set(name.split("/"))
)


@given(names, st.sampled_from(sorted(WAYS)))
@settings(max_examples=80)
def test_no_name_outside_is_looked_up(place: Place, name: str, way: str) -> None:
    source = WAYS[way](place, name) + ".png"  # a dot, so that a long plain name is not taken for base64
    assert place.answer(source)[0] is AccessDenied


def test_the_hint_names_the_folders_that_may_be_read_and_nothing_of_the_others(place: Place) -> None:
    with pytest.raises(AccessDenied) as caught:
        load_scan(f"{place.office}/seen.png", roots=[place.lane])
    assert str(place.lane) in caught.value.hint
    assert "office" not in str(caught.value)


def test_one_view_outside_denies_the_whole_bag(place: Place) -> None:
    with pytest.raises(AccessDenied):
        load_scan([f"{place.lane}/bag.png", f"{place.office}/seen.png"], roots=[place.lane])


def test_inside_the_roots_a_file_is_read_and_a_missing_one_is_named(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.lane)
    for source in (f"{place.lane}/bag.png", "bag.png", "./bag.png", "../lane/bag.png", place.lane / "bag.png"):
        assert isinstance(load_scan(source, roots=[place.lane]), Scan)
    with pytest.raises(ScanNotFound, match=r"bags\.png"):
        load_scan("bags.png", roots=[place.lane])


def test_any_of_several_roots_will_do_and_a_root_may_itself_be_a_link(place: Place, tmp_path: Path) -> None:
    (tmp_path / "lane-4").symlink_to(place.lane)
    roots = [tmp_path / "nowhere", tmp_path / "lane-4"]
    for source in (f"{place.lane}/bag.png", str(tmp_path / "lane-4" / "bag.png"), tmp_path / "lane-4" / "bag.png"):
        assert isinstance(load_scan(source, roots=roots), Scan)


def test_a_folder_that_only_begins_like_a_root_lies_outside(place: Place) -> None:
    with pytest.raises(AccessDenied):
        load_scan(f"{place.lane}-2/bag.png", roots=[place.lane])


def test_without_roots_a_path_means_what_it_means_to_the_system(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "far" / "bag.png").write_bytes(PICTURE)
    (tmp_path / "here" / "link").symlink_to(tmp_path / "far" / "away")
    for source in (f"{tmp_path}/here/link/../bag.png", tmp_path / "here" / "link" / ".." / "bag.png"):
        assert read_content(source) == PICTURE


def test_a_picture_in_the_call_needs_no_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    short = base64.b64encode(encoded(bag(8, 8))).decode()
    for roots in (None, [tmp_path]):
        assert read_content(short, roots=roots)
        with pytest.raises(XrayToolsError):
            read_content("bag.png", roots=roots)


def test_no_root_at_all_means_that_no_path_is_read(place: Place) -> None:
    with pytest.raises(AccessDenied):
        load_scan(f"{place.lane}/bag.png", roots=[])
    assert isinstance(load_scan(BASE64, roots=[]), Scan)


@pytest.mark.parametrize(
    "text",
    [
        BASE64,
        URL_SAFE,
        BASE64.rstrip("="),
        "\n".join(BASE64[start : start + 76] for start in range(0, len(BASE64), 76)),
        f"data:image/png;base64,{BASE64}",
        f"DATA:;base64,{URL_SAFE}",
        f"  data:image/png;base64,{BASE64}\n",
    ],
    ids=["base64", "URL-safe", "unpadded", "in lines", "data URI", "bare data URI", "data URI with blanks"],
)
def test_a_picture_in_the_call_itself_needs_no_root(place: Place, text: str) -> None:
    assert read_content(text, roots=[place.lane]) == PICTURE
    assert load_scan(text, roots=[place.lane]).scan_id == load_scan(PICTURE).scan_id


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_short_base64_that_reads_like_a_path_is_still_a_picture(place: Place, form: str) -> None:
    tiny = encoded(bag(8, 8), form)
    text = base64.b64encode(tiny).decode()
    assert len(text) < 4096
    assert text.startswith("/") == (form == "JPEG")
    assert read_content(text, roots=[place.lane]) == tiny


def test_content_is_the_same_bytes_however_it_is_named_and_is_not_decoded(place: Place, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_bytes(b"no picture")
    for source in (f"{place.lane}/bag.png", place.lane / "bag.png", BASE64):
        assert read_content(source) == PICTURE
    assert read_content(tmp_path / "note.txt", roots=[tmp_path]) == b"no picture"


@pytest.mark.parametrize("source", ["missing.png", "\x00", "", "a\nb", "data:image/png,abc", "data:;base64,!!!"])
def test_content_that_cannot_be_had_gets_the_typed_errors_of_a_scan(source: str) -> None:
    with pytest.raises(InvalidScan):
        read_content(source)


def test_content_over_the_limit_is_refused_and_never_cut_off(place: Place) -> None:
    tight = ScanLimits(max_bytes=len(PICTURE) - 1)
    for source in (f"{place.lane}/bag.png", place.lane / "bag.png"):
        with pytest.raises(ScanTooLarge):
            read_content(source, limits=tight)
        assert read_content(source, limits=ScanLimits(max_bytes=len(PICTURE))) == PICTURE


@pytest.mark.parametrize("tool", ["detect_threats", "explain_scan"])
def test_an_agent_learns_no_more_than_python(place: Place, tool: str) -> None:
    screener = Screener(model=ScriptedDetector([found("gun")]), roots=[place.lane])
    there, gone = (
        openai.call_tool(tool, {"scan": f"{place.office}/{name}.png"}, screener=screener) for name in ("seen", "gone")
    )
    assert there == gone
    assert '"code":"access_denied"' in there
