"""Which scans belong together: names of near-duplicates and of runs of neighbouring ids."""

from __future__ import annotations

import re

RUN = 50
"""How many neighbouring ids make one block."""

_NUMBERED = re.compile(r"(.*?)(\d+)", re.DOTALL)
_ROBOFLOW = re.compile(r"(.+?)(?:_(?:jpe?g|png|bmp|tiff?))?\.rf\.[0-9A-Za-z]+", re.DOTALL)


def block_of(stem: str, group: str) -> str:
    """The run of ids that a numbered name lies in, named by its first id; the group where the name has no number.

    A name that Roboflow gave counts as the one before it.
    """
    numbered = _NUMBERED.fullmatch(uploaded_stem(stem) or stem)
    if numbered is None:
        return group
    before, digits = numbered.groups()
    return f"{before}{int(digits) // RUN * RUN:0{len(digits)}d}+"


def uploaded_stem(stem: str) -> str | None:
    """The name a picture had before Roboflow renamed its copies ``NAME_jpg.rf.HASH``; None where it did not."""
    renamed = _ROBOFLOW.fullmatch(stem)
    return renamed[1] if renamed else None
