"""What a text shows the eye, whatever characters it is made of, so that a name cannot hide from a check."""

from __future__ import annotations

import html
import re
import unicodedata

_LOOKS_LIKE = str.maketrans(
    {
        # Cyrillic
        **dict(zip("авеіїјкмнорсѕтухԁԛԝһӏѵб", "abeiijkmhopcstyxdqwhlvb", strict=True)),
        **dict(zip("АВЕІЇЈКМНОРСЅТУХԌҺЬ", "ABEIIJKMHOPCSTYXGHB", strict=True)),
        # Greek
        **dict(zip("αβγεζηικμνορσςτυχωϲϳ", "abyezniiuvopoctuxwcj", strict=True)),
        **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϺ", "ABEZHIKMNOPTYXCM", strict=True)),  # noqa: RUF001
        # Armenian and Hebrew
        **dict(zip("աոսօցհյզՏՍՕԼ", "wnuoghjqSUOL", strict=True)),
        **dict(zip("סו", "ol", strict=True)),  # noqa: RUF001
        # Letters of the Latin block that do not come apart into a letter and a mark
        "ĸ": "k",
        "ß": "ss",
        "æ": "ae",
        "œ": "oe",
        "þ": "p",
        "ð": "d",
    }
)
_LOOKS_LIKE[ord("κ")] = "k"
_INVISIBLE = frozenset("\u115f\u1160\u3164\uffa0\u2800\u180e")
_DROPPED = frozenset({"Cf", "Mn", "Me", "Co", "Cn", "Cs", "Cc"})
_TURNS_ROUND = re.compile("[\u202a-\u202e\u2066-\u2069]")
_TAG = re.compile(r"<[^<>]{0,200}>")
_EMPHASIS = re.compile(r"[*_~`\\]+")
_LETTER_NAME = re.compile(
    r"(?:LATIN|REGIONAL INDICATOR SYMBOL|(?:NEGATIVE )?(?:CIRCLED|SQUARED|CROSSED \w+) LATIN).*?"
    r"(?:LETTER|SMALL CAPITAL)(?: [A-Z]{2,})*? ([A-Z])(?: WITH .*)?"
)
_OTHER_NAMES = {"HOCHO": "KNIFE"}


def readings(text: str) -> list[str]:
    """The ways in which a text may be read, each in the letters that it shows.

    As it is written; as it shows once its marks of emphasis and its tags are rendered, where it has any; and both
    backwards, where it holds marks that turn the direction of reading. In each, what looks the same has one spelling:
    character references are resolved, marks that cannot be seen left out, accents taken off, look-alike letters of other
    scripts made Latin, symbols replaced by their names. What is left beyond ASCII are letters that nothing here can read;
    see :func:`unreadable`.
    """
    plain = html.unescape(text)
    ways = [_TAG.sub(" ", plain), _EMPHASIS.sub("", _TAG.sub("", plain))]
    if _TURNS_ROUND.search(plain):
        ways += [way[::-1] for way in ways]
    return list(dict.fromkeys(map(_letters, ways)))


def _letters(text: str) -> str:
    latin = unicodedata.normalize("NFKD", text.translate(_LOOKS_LIKE)).translate(_LOOKS_LIKE)
    return "".join(map(_shown, latin))


def _shown(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() or character.isspace() else ""
    kind = unicodedata.category(character)
    if kind in _DROPPED or character in _INVISIBLE:
        return ""
    if kind.startswith("L"):
        letter = _LETTER_NAME.fullmatch(unicodedata.name(character, ""))
        return letter[1].lower() if letter else character
    return _sign(character, kind)


def _sign(character: str, kind: str) -> str:
    """What is no letter: symbols by name, digits as digits, apostrophes and hyphens as such, the rest a break."""
    name = unicodedata.name(character, "")
    if kind.startswith("S"):
        letter = _LETTER_NAME.fullmatch(name)
        return letter[1].lower() if letter else f" {_OTHER_NAMES.get(name, name).lower()} "
    if kind == "Nd":
        return str(unicodedata.decimal(character))
    if kind.startswith("Z"):
        return " "
    if "HYPHEN" in name:
        return "-"
    return "'" if "SINGLE" in name and "QUOTATION MARK" in name else "; "


def unreadable(letters: str) -> bool:
    """Whether a reading holds letters of a script whose words cannot be looked up."""
    return not letters.isascii()
