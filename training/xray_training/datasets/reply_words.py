"""Yes and no, choices, numbers and refusals, in words."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from xray_agent_tools.taxonomy import taxonomy
from xray_agent_tools.wording import as_read
from xray_training.datasets.pairs import REGIONS
from xray_training.datasets.reply_items import NUMBER_WORDS, agreed, counts_in, named_in

_IDIOM = re.compile(
    r"\b(no|without( an?y?)?|beyond( any)?|not a|little) (doubt|question|problem|surprise)s?\b|\bdoubtless\b"
)
_LEAD = re.compile(
    r"^\W*(?:(?:the|my) answer(?: is)?\W+|answer\W+|i (?:would |'d )?say\W+)?"
    r"(yes|yeah|yep|nope|no(?=\W*$|\s*[^\w\s]|\s+(?:there|it|i|the|this|that|not)\b))\b"
)
_YES = re.compile(r"\b(yes|yeah|yep)\b")
_STANDALONE_NO = re.compile(r"\b(no|nope)\b(?=\W*$|\s*[.,;:!?/])")
_HEDGED = re.compile(
    r"\b(possibl[ey]|may ?be|perhaps|might|could be|likely|probabl[ey]|(not|un)(?: |-)?(sure|certain|clear)|if)\b"
)
_THERE = re.compile(
    r"\b(there (is|are|was|were)|see|sees|seen|detected?|find|found|contains?|shows?|holds?|includes?|visible|present"
    r"|lies|located)\b"
)
_HIDING = r"(hidden|covered|occluded|obscured|concealed|overlapped|overlaid|blocked|behind|under|beneath)"
_HIDDEN = re.compile(rf"\b{_HIDING}\b")
_NOT_HIDDEN = re.compile(
    rf"(\bnot|n't|\bun|\bnever|\bnothing)\W*(\w+ ){{0,2}}{_HIDING}\b"
    rf"|\b(no|none|nothing|little|hardly any(thing)?)\b[^.;,]{{0,40}}\b(is|are|was|were)\b[^.;,]{{0,20}}{_HIDING}\b"
    r"|\b(fully|clearly|completely|entirely|wholly) (visible|open|exposed|in view)|\bunobstructed\b"
    r"|\bin plain (view|sight)\b"
)
_OPEN = re.compile(r"\b(visible|open|unobstructed|exposed|in plain (view|sight))\b")

_TELL = "tell|say|determine|know|judge|answer|infer|told|said|determined|known|judged|answered|inferred"
_PERCEIVE = "make out|identify|identified|read"


def _refusal(verbs: str) -> re.Pattern[str]:
    return re.compile(
        r"\b(cannot|can't|can not|could not|couldn't|unable to|not able to|impossible to|not possible to|no way to"
        rf"|do not|don't|does not|doesn't|won't|will not) (\w+ ){{0,2}}?(be )?({verbs})\b"
        r"|\b(does not|doesn't|do not|don't|cannot|can't) (\w+ )?(show|reveal|contain|carry|include|give) (\w+ ){0,2}"
        r"(that|this|it|such|brand|information|detail|owner|price|age|name)\w*\b"
        r"|\b(is|are) (not|n't) (\w+ )?(shown|recorded|legible|discernible|determinable|knowable|possible to tell)\b"
        r"|\bnot enough (information|detail)|\binsufficient (information|detail)|\bunanswerable\b|\bunknowable\b"
        r"|\b(nothing|no (part|detail)) (\w+ ){0,4}(tells|says|shows|reveals)\b|\bno information\b|\bunknown\b"
        r"|\bi have no (idea|way)\b"
        r"|\bno (statement|answer|conclusion|judgement|judgment) (can|could) be (made|given|drawn|reached)\b"
    )


_REFUSAL, _NO_ANSWER = _refusal(f"{_TELL}|{_PERCEIVE}"), _refusal(_TELL)
_GUESS = re.compile(
    r"\b(probabl[ey]|(most )?likely|presumably|my (best )?guess|guess|(i would|i'd) (guess|say|estimate)|must be"
    r"|appears to be|seems to be|looks like|judging by|estimated?|approximately|roughly)\b"
    r"|[$€£]\s?\d|\b\d+(\.\d+)?\s?(dollars|euros?|pounds|kg|g|grams|kilograms|mm|cm|inch(es)?|years?)\b"
)

_PLACED = {"upper": "upper", "top": "upper", "lower": "lower", "bottom": "lower"}
_MIDDLE = r"centre|center|middle|central"
_FILLER = (
    r"(?:[\s,-]+(?:the|of|on|in|at|to|and|part|half|third|area|region|side|corner|hand|bag|scan|image|picture)){0,6}"
    r"[\s,-]+"
)
_ROW = rf"upper|top|lower|bottom|{_MIDDLE}"
_COLUMN = rf"left|right|{_MIDDLE}"
_REGION = re.compile(
    rf"\b(?P<row>{_ROW}){_FILLER}(?P<column>{_COLUMN})\b|\b(?P<first>left|right){_FILLER}(?P<second>{_ROW})\b"
    rf"|\b(?P<middle>{_MIDDLE})\b"
)
_SYNONYMS = {
    "metal": ("metallic", "metals"),
    "mixed": ("inorganic", "a mixture", "mixture"),
    "opaque": ("impenetrable", "too dark"),
    "centre": ("center", "middle"),
}
_THAN = re.compile(r"\bthan\b[^.;,]*")
_MOSTLY = re.compile(r"\b(mostly|mainly|largely|primarily|predominantly|chiefly)\b")
_DENIED = r"(?:\bnot|n't|\bno|\bnor|rather than|instead of)(?: (?:an?|the|at|in|mostly|mainly))*\W+"
_SHARE = r"(\d{1,3}(?:\.\d+)?)\s?%\s+(?:of (?:it|the \w+) )?(?:(?:is|looks|seems|appears) )?"
_NUMBER = re.compile(
    rf"(?<![\w.,-])(\d{{1,6}})(?![\w%]|[.,]\d)|\b({'|'.join(NUMBER_WORDS)})\b(?! (?:can|may|could|of)\b)"
)
_ONLY_A_NUMBER = re.compile(
    rf"^[\s*_\"'(]*(\d{{1,6}}|{'|'.join(NUMBER_WORDS)})\s*(?:$|[.,;:!(](?!\d)|items?\b|in total\b)"
)
_LISTED = re.compile(r"^\s*\d+[.)]\s", re.MULTILINE)
_IN_BRACKETS = re.compile(r"\[[^\[\]]*\]")
_NOTHING = re.compile(
    r"\b(none|nothing|zero|empty)\b|^\W*no\W*$|\b(there (is|are)|see|find|found|shows?|contains?) no\b"
    r"|\bno (\w+ ){0,2}(items?|objects?|things?|threats?|weapons?|boxes|detections?)\b"
)


def plain(text: str) -> str:
    """A reply as it is matched: one spelling, lower case, idioms that mean no denial left out."""
    return _IDIOM.sub(" ", as_read(text).casefold()).strip()


def refuses(text: str) -> bool:
    """Whether a reply says that the picture does not tell, or that the speaker cannot."""
    return _REFUSAL.search(plain(text)) is not None


def guesses(text: str) -> bool:
    """Whether a reply offers a guess or a measure that no scan shows."""
    return _GUESS.search(plain(text)) is not None


def denies_all(text: str) -> bool:
    """Whether a reply says that there is nothing, or denies every item that it names."""
    words = plain(text)
    if _NOTHING.search(words):
        return True
    named = named_in(words)
    return bool(named.denied) and not named.claimed


def yes_in(text: str, asked: Collection[str], *, hidden: bool = False, question: str = "") -> bool | None:
    """Whether a reply says yes, by that word or by a clear statement; None if it says neither, or both.

    Args:
        text: the reply.
        asked: labels that the question is about.
        hidden: the question is whether something is hidden, not whether it is there.
        question: its words, which tell whether it asks for the hidden or for the open.
    """
    words = plain(text)
    lead = _LEAD.match(words)
    stated = _hidden_in(words, question) if hidden else _there_in(words, asked)
    if lead is not None:
        yes, rest = lead.group(1).startswith("y"), words[lead.end() :]
        opposite = _STANDALONE_NO.search(rest) if yes else (_YES.search(rest) or _NO_ANSWER.search(rest))
        contradicted = not hidden and stated is not None and stated != yes and (yes or bool(_THERE.search(rest)))
        return None if opposite or contradicted else yes
    if _NO_ANSWER.search(words) or (stated is None and _REFUSAL.search(words)):
        return None
    if _YES.search(words):
        return None if _STANDALONE_NO.search(words) or stated is False else True
    return None if _HEDGED.search(words) else stated


def _there_in(words: str, asked: Collection[str]) -> bool | None:
    named = named_in(words)
    claimed, denied = not set(asked).isdisjoint(named.claimed), not set(asked).isdisjoint(named.denied)
    if claimed == denied:
        return None
    return False if denied else (True if _THERE.search(words) else None)


def _hidden_in(words: str, question: str) -> bool | None:
    asks_for_open = bool(_OPEN.search(plain(question))) and not _HIDDEN.search(plain(question))
    opened = _NOT_HIDDEN.search(words) is not None
    if not opened and not _HIDDEN.search(words):
        return None
    return opened if asks_for_open else not opened


def choice_in(text: str, options: Sequence[str]) -> str | None:
    """The one option that a reply names; None if it names none or several."""
    words = _THAN.sub(" ", plain(text))
    if set(options) <= set(REGIONS):
        found = regions_in(words)
        return found[0] if len(found) == 1 and found[0] in options else None
    if set(options) <= set(taxonomy().labels):
        labels = [label for label in named_in(words).claimed if label in options]
        return labels[0] if len(labels) == 1 else None
    return _option_in(words, options)


def regions_in(text: str) -> list[str]:
    """The region words of a text in one spelling: "top left-hand corner" is "upper-left"."""
    found = []
    for match in _REGION.finditer(plain(text)):
        if match["middle"]:
            found.append("centre")
            continue
        row, column = match["row"] or match["second"], match["column"] or match["first"]
        row, column = _PLACED.get(row, "centre"), column if column in ("left", "right") else "centre"
        found.append("centre" if row == column else f"{row}-{column}")
    return list(dict.fromkeys(found))


def _option_in(words: str, options: Sequence[str]) -> str | None:
    """An option among free words: the longest first, denied ones left out, the largest share if all have one."""
    if mostly := _MOSTLY.search(words):
        words = re.split(r"[,.;]|\b(?:with|but|and)\b", words[mostly.end() :], maxsplit=1)[0]
    found: list[str] = []
    shares: dict[str, float] = {}
    for option in sorted(options, key=len, reverse=True):
        name = rf"(?<![^\W_])(?:{'|'.join(_spellings(option))})(?![^\W_])"
        if share := re.search(_SHARE + name, words):
            shares[option] = float(share.group(1))
        words = re.sub(_DENIED + name, " ", words)
        if re.search(name, words):
            found.append(option)
            words = re.sub(name, " | ", words)
    if len(found) > 1 and set(shares) == set(found):
        best = [option for option in found if shares[option] == max(shares.values())]
        return best[0] if len(best) == 1 else None
    return found[0] if len(found) == 1 else None


def _spellings(option: str) -> list[str]:
    words = [part for part in re.split(r"[\s_-]+", option.casefold()) if part]
    return [r"[\s_-]+".join(map(re.escape, words)) or r"(?!)", *map(re.escape, _SYNONYMS.get(option, ()))]


def number_in(text: str, asked: Collection[str]) -> int | None:
    """The one number of asked items that a reply gives, in digits or words; None if it gives none or several."""
    words = _IN_BRACKETS.sub(" ", plain(text))
    alone = _ONLY_A_NUMBER.match(words)
    if alone is not None and len(_LISTED.findall(words)) < 2:
        return _value(alone.group(1))
    named, counts = named_in(words), counts_in(words)
    told = {number for label, number in counts.items() if label in asked and number is not None}
    if not set(asked).isdisjoint(named.denied):
        return None if told - {0} else 0
    if told:
        return told.pop() if len(told) == 1 else None
    if numbers := [_value(match.group(1) or match.group(2)) for match in _NUMBER.finditer(words)]:
        return agreed(numbers)
    return 0 if _NOTHING.search(words) and not _REFUSAL.search(words) else None


def _value(word: str) -> int:
    return NUMBER_WORDS[word] if word in NUMBER_WORDS else int(word)
