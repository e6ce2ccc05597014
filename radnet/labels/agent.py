"""What governs the agent: whether a text says that it was given, or that it was not.

A word for the agent ("KM", "contraste", "gad") means one thing, its negation another, and the
negation is of any language, before it or after it. So this is grammar, over the word classes of
``tables/agent.toml``:

* A negation governs the agent that follows it. Only the words of one phrase may stand between:
  articles, "iv", "medium", another member of a list ("oral or").
* A negation after the agent governs it too ("KM nein", "contrast: none", "IV -"). One that can
  stand before a noun ("no", "ohne") does so only where no noun follows it.
* Any other word ends the scope: a region, a technique, a preposition, another agent.
* An agent of the gut or of a cavity is no intravenous one, with or without a negation.
* What the agent does, or what is of it, is another thing: "contrast leak", "allergy to contrast".
* A sign or a word that leaves it open ("- contrast", "KM X", "contrast TBD") tells nothing.

What cannot be told ("with and without", "contrast no abdomen") makes the text say nothing.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

NEGATED: Final = ("unenhanced",)  # how the rules read a negated agent
NAMES: Final = frozenset({"agent", "weak", "oral"})  # a phrase begins with one of these
WITHIN: Final = frozenset({"link", "list"})  # ... and goes on over these to another
EVENT: Final = frozenset({"event"})
OTHER: Final = frozenset({"other"})
GOVERNORS: Final = frozenset({"before", "given", "past", "unsure"})
UNSURE: Final = frozenset({"unsure"})
WAY: Final = frozenset({"technique", "way"})
BEFORE: Final = frozenset({"before"})
PAST: Final = frozenset({"past"})
AFTER: Final = frozenset({"after"})
LAST: Final = frozenset({"last"})
COMPOUND: Final = frozenset({"compound"}) | EVENT
LINK: Final = frozenset({"link"})
JOINT: Final = LINK | {"joint"}
LIST: Final = frozenset({"list"})
ORAL: Final = frozenset({"oral"})
BARE: Final = frozenset({"bare"})
END: Final = frozenset({"end"})
WHOLE: Final = frozenset({"negated"})
TECHNIQUE: Final = frozenset({"technique"})
PHASE: Final = frozenset({"phase"})
THING: Final = NAMES | TECHNIQUE | PHASE
DETERMINER: Final = frozenset({"determiner"})
AFTER_NEGATION: Final = frozenset({"after-negation"})
STOPS: Final = NAMES | AFTER | BEFORE
STRANGE: Final = 2  # words of no role between a negation and an agent that still make it doubtful
JOINED: Final = ("and", "und", "et", "y", "e", "og", "och", "plus")  # of both, not of either
VOLUME: Final = re.compile(r"\d+ ?(ml|cc)\b")
NO_VOLUME: Final = re.compile(r"0 ?(ml|cc)\b|0$")  # of the rest of a line


@cache
def _classes() -> dict[str, re.Pattern[str]]:
    text = (files("radnet.labels") / "tables" / "agent.toml").read_text("utf-8")
    rows = tomllib.loads(text)["word"]
    return {row["role"]: re.compile("".join(row["words"].split())) for row in rows}


@lru_cache(maxsize=50_000)
def roles_of(word: str) -> frozenset[str]:
    """Return the roles that one word of a `plain` text can play."""
    return frozenset(role for role, words in _classes().items() if words.fullmatch(word))


@dataclass(frozen=True)
class _Reading:
    """The words from `start` up to `end`, and what they are replaced by; None: not to be told."""

    start: int
    end: int
    instead: tuple[str, ...] | None
    given: bool = False


class _Line:
    """The words of one line with the roles that they can play."""

    def __init__(self, line: str, modality: str) -> None:
        self.words = line.split()
        self.roles = [_in_modality(roles_of(word), word, modality) for word in self.words]
        for at, word in enumerate(self.words):
            if word == "x" and VOLUME.match(" ".join(self.words[at + 1 : at + 3])):
                self.roles[at] = frozenset()  # "contrast x 100 ml"

    def plays(self, at: int, roles: frozenset[str]) -> bool:
        """Tell whether the word at `at` can play one of `roles`; False beyond the end."""
        return at < len(self.words) and not roles.isdisjoint(self.roles[at])

    def over(self, at: int, roles: frozenset[str], unless: frozenset[str]) -> int:
        """Return the first place from `at` on whose word plays none of `roles`, or `unless`."""
        while self.plays(at, roles) and not self.plays(at, unless):
            at += 1
        return at


def settled(line: str, modality: str) -> str | None:
    """Return a `plain` line with each negated agent as "unenhanced".

    Agents of the gut, and techniques that a text says are there or not, are left out. None where
    the line says both, or cannot be told.
    """
    text = _Line(line, modality)
    readings: list[_Reading] = []
    at = 0
    while at < len(text.words):
        reading = _reading(text, at)
        if reading is not None:
            if reading.instead is None:
                return None
            readings.append(reading)
        at = reading.end if reading else at + 1
    if not readings:
        return line
    if len({r.given for r in readings if r.given or r.instead == NEGATED}) > 1:
        return None
    return _replaced(text.words, readings)


def _in_modality(roles: frozenset[str], word: str, modality: str) -> frozenset[str]:
    """Return what a word can be in MR: SENSE is no Catalan "without", water is no drink."""
    if modality == "MR" and word in ("sense", "water"):
        return roles - {"before", "oral"}
    return roles


def _replaced(words: Sequence[str], readings: Sequence[_Reading]) -> str:
    told: list[str] = []
    at = 0
    for reading in readings:
        told += words[at : reading.start]
        told += reading.instead or ()
        at = reading.end
    return " ".join([*told, *words[at:]])


def _reading(text: _Line, at: int) -> _Reading | None:
    if text.plays(at, OTHER):
        return _Reading(at, at + 1, ())
    if text.plays(at, WHOLE):
        return _Reading(at, at + 1, NEGATED)
    if text.plays(at, EVENT):
        agent = text.over(at + 1, JOINT, NAMES)
        return _Reading(at, _phrase(text, agent), ()) if text.plays(agent, NAMES) else None
    if text.plays(at, GOVERNORS):
        governed = _governed(text, at)
        if governed is not None:
            return governed
    if text.plays(at, NAMES):
        return _alone(text, at)
    return None


def _phrase(text: _Line, at: int) -> int:
    """Return where the phrase that begins at `at` ends: names, with links and lists between."""
    end = at + 1
    while True:
        beyond = text.over(end, WITHIN, NAMES)
        if not text.plays(beyond, NAMES):
            return end + 1 if _noun(text, end) else end  # "iv con"
        end = beyond + 1


def _noun(text: _Line, at: int) -> bool:
    """Tell whether a word such as "con" stands for the agent, and not before it ("con mdc")."""
    follows = text.over(at + 1, LINK, NAMES)
    return text.plays(at, AFTER_NEGATION) and not text.plays(follows, NAMES)


def _gut(text: _Line, start: int, end: int) -> bool:
    """Tell whether every member of a phrase is an agent of the gut."""
    members: list[set[str]] = [set()]
    for at in range(start, end):
        if text.plays(at, LIST) and not text.plays(at, NAMES):
            members.append(set())
        members[-1] |= text.roles[at]
    return all("oral" in member and "weak" not in member for member in members)


def _alone(text: _Line, at: int) -> _Reading:
    """Read a phrase that nothing before it governs."""
    end = _phrase(text, at)
    if (beyond := _compound(text, end)) is not None:
        return _Reading(at, beyond, ())
    if _gut(text, at, end):
        return _Reading(at, end, ())
    beyond = _negation_after(text, end)
    if beyond is None:
        return _Reading(at, end, None)
    return _Reading(at, beyond, NEGATED) if beyond > end else _same(text, at, end)


def _compound(text: _Line, end: int) -> int | None:
    """Return where a word ends that makes another thing of a phrase, None where there is none."""
    at = text.over(end, LINK, STOPS)
    if not text.plays(at, COMPOUND):
        return None
    agent = text.over(at + 1, JOINT, NAMES)  # "contrast allergy to contrast"
    return _phrase(text, agent) if agent > at + 1 and text.plays(agent, NAMES) else at + 1


def _same(text: _Line, start: int, end: int, *, given: bool = False) -> _Reading:
    return _Reading(start, end, tuple(text.words[start:end]), given)


def _governed(text: _Line, at: int) -> _Reading | None:
    """Read what a negation or a preposition at `at` governs; None where that is no agent."""
    first = _governors(text, at)
    start = text.over(first, LINK, NAMES)
    ruled = range(at, first)
    negates = any(text.plays(i, BEFORE) for i in ruled)
    past = any(text.plays(i, PAST | UNSURE) for i in ruled)
    if text.plays(start, NAMES) or (negates and _noun(text, start)):
        return _judged(text, at, first, start)
    if first == start and _noun(text, start):  # "with con"
        if any(text.plays(i, UNSURE) for i in ruled):
            return _Reading(at, start + 1, None)
        return _same(text, at, start + 1, given=True)
    if negates and (distant := _far_agent(text, start)):
        return _Reading(at, distant, None)
    things = TECHNIQUE | PHASE if negates else WAY
    if text.plays(start, things) and not past:
        return _Reading(at, text.over(start, things, GOVERNORS), ())
    if text.plays(first - 1, BARE) and (start == len(text.words) or text.plays(start, END)):
        return _Reading(at, first, NEGATED)
    return None


def _far_agent(text: _Line, start: int) -> int | None:
    """Return where a phrase ends that up to two strange words part from its negation.

    "No plans for contrast", "ohne erkennbares KM": nobody can list those words, and a
    region among them ("no chest contrast") leaves open what is negated. None: no such phrase.
    """
    for at in range(start, min(start + STRANGE, len(text.words) - 1)):
        if text.roles[at]:
            return None
        agent = text.over(at + 1, LINK, NAMES)
        if text.plays(agent, NAMES):
            return _phrase(text, agent)
    return None


def _governors(text: _Line, at: int) -> int:
    """Return where a run of governors ends: "with and without", "bez i ze", "with no"."""
    end = at + 1
    while True:
        beyond = text.over(end, LIST, GOVERNORS)
        if _noun(text, beyond) or not text.plays(beyond, GOVERNORS):
            return end
        end = beyond + 1


def _judged(text: _Line, at: int, first: int, start: int) -> _Reading:
    """Read the phrase at `start` under the governors from `at` up to `first`."""
    end = _phrase(text, start)
    if (beyond := _compound(text, end)) is not None:
        return _Reading(at, beyond, ())
    if _gut(text, start, end):
        return _Reading(at, end, ())
    ruling = [i for i in range(at, first) if text.plays(i, GOVERNORS)]
    negations = [i for i in ruling if text.plays(i, BEFORE)]
    if any(text.plays(i, UNSURE) for i in ruling):
        return _Reading(at, end, None)
    beyond = _negation_after(text, end)
    if not negations:
        return _same(text, at, end, given=True) if beyond == end else _Reading(at, end, None)
    of_one_noun = text.plays(ruling[-1], DETERMINER)
    if len(negations) > 1 or (len(ruling) > 1 and not of_one_noun) or _divided(text, start, end):
        return _Reading(at, end, None)
    return _Reading(at, beyond or end, NEGATED)


def _divided(text: _Line, start: int, end: int) -> bool:
    """Tell whether "no oral and iv" leaves open if the negation reaches the second member."""
    joined = any(text.words[i] in JOINED for i in range(start, end))
    return joined and any(text.plays(i, ORAL) for i in range(start, end))


def _negation_after(text: _Line, end: int) -> int | None:
    """Return where a negation that follows a phrase ends, `end` without one; None: not told."""
    at = text.over(end, LINK, STOPS)
    beyond = text.over(at + 1, LINK, STOPS)
    if none := NO_VOLUME.match(" ".join(text.words[at:])):
        return at + len(none.group(0).split())
    if text.words[at : at + 1] == ["0"] and not text.plays(at + 1, END):
        return None
    if text.plays(at, LAST) and not text.plays(at, AFTER | BEFORE):
        return at + 1 if at + 1 == len(text.words) else None
    if text.plays(at, UNSURE):
        return None
    if text.plays(at, AFTER):
        other = text.plays(beyond, THING | PAST) or text.words[beyond:][:1] == ["pre"]
        return end if other else at + 1
    if not text.plays(at, BEFORE):
        return end
    if beyond >= len(text.words) or text.plays(beyond, END):
        return at + 1
    return end if text.plays(beyond, THING) else None
