"""What lies in a dataset's folders, without the litter that file managers leave there."""

from __future__ import annotations

from pathlib import Path

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})

_SPLITS = {"valid": "val", "validation": "val", "training": "train", "testing": "test"}


def files_in(folder: Path, *suffixes: str) -> list[Path]:
    """The folder's files with one of the suffixes (lower case), by name; none where there is no such folder.

    Files whose name starts with a dot (``._scan.jpg`` of macOS) are passed over.
    """
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith(".")
    )


def pictures_in(folder: Path) -> list[Path]:
    """The folder's pictures, by name."""
    return files_in(folder, *PICTURES)


def pictures_by_stem(*folders: Path) -> dict[str, Path]:
    """The pictures of several folders by their name without its suffix; of two alike, the first folder's counts."""
    found: dict[str, Path] = {}
    for folder in folders:
        for picture in pictures_in(folder):
            found.setdefault(picture.stem, picture)
    return found


def folders_in(root: Path) -> list[Path]:
    """The folders in a folder, by name."""
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def within(folder: Path, name: str) -> Path | None:
    """The file of that name in or below the folder; None where the name is none or leads out of it."""
    relative = Path(name)
    if not relative.name or "\0" in name or relative.is_absolute() or ".." in relative.parts:
        return None
    return folder / relative


def split_called(name: str) -> str:
    """``train``, ``val`` or ``test`` for the usual other names of them; any other name as it is."""
    return _SPLITS.get(name.lower(), name.lower())


def wanted(found: str, asked: str | None) -> bool:
    """Whether a split is among those asked for; None asks for all."""
    return asked is None or found == asked
