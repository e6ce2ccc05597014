r"""Rules as data: read from tables, checked whole, applied to one text at a time.

Radnet's own tables lie in ``tables/``; a site adds a TOML file with rules of its own and switches
off rules of ours by their id::

    disable = ["kidney-to-trochanter"]

    [[rule]]
    id = "our-protocol-7"
    head = "contrast"
    value = "contrast"
    weight = 6
    words = '\bprotocol 7\b'
    example = ["CT PROTOCOL 7"]
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from radnet.errors import UnusableVolumeError
from radnet.labels.agent import settled
from radnet.labels.evidence import Evidence
from radnet.labels.text import plain
from radnet.labels.vocabulary import ELSEWHERE, Contrast, Plane, Region, Sequence

Head = Literal["sequence", "plane", "contrast", "coverage", "localizer", "derived"]
VALUES: Final[dict[str, type[StrEnum]]] = {
    "sequence": Sequence,
    "plane": Plane,
    "contrast": Contrast,
}
TABLES: Final = ("sequence", "plane", "contrast", "coverage", "kind", "physics", "attributes")
OPAQUE: Final = {"collection"}  # names, not descriptions: read only by rules that name them
MOST_CACHED: Final = 300_000  # texts whose reading is remembered
DEFAULT_WEIGHT: Final = 4.0
SHOWN: Final = 64  # characters of a text that evidence repeats


def _compiled(pattern: object) -> object:
    try:
        return re.compile(pattern) if isinstance(pattern, str) else pattern
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error


Words = Annotated[re.Pattern[str], BeforeValidator(_compiled)]
Bounds = Annotated[list[float], Field(min_length=2, max_length=2)] | None


class Rule(BaseModel):
    """One row of a table of words.

    Attributes
    ----------
    words
        Regular expression, searched in the `plain` form of a text.
    attributes
        Attributes it reads; empty means those that `sources.toml` names for the head.
    hides
        The match is taken out of the text before rules without `hides` look.
    silences
        The text says nothing of this head at all.
    unless, only_with
        Expressions that must not (in the text) or must (in all texts) be found as well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    id: str
    head: Head
    value: str = ""
    weight: Annotated[float, Field(gt=0, le=20)] = DEFAULT_WEIGHT
    words: Words
    attributes: tuple[str, ...] = ()
    modality: str = ""
    hides: bool = False
    silences: bool = False
    unless: Words | None = None
    only_with: Words | None = None
    example: tuple[str, ...] = Field(min_length=1)
    unlike: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _value_of_the_head(self) -> "Rule":
        allowed: set[str] = {"1", "0"}
        if self.head == "coverage":
            allowed = {*Region, ELSEWHERE}
        elif self.head in VALUES:
            allowed = set(VALUES[self.head])
        if self.value and not set(self.value.split(";")) <= allowed:
            raise ValueError(f"value {self.value!r}, expected of {', '.join(sorted(allowed))}")
        if not (self.value or self.hides or self.silences):
            raise ValueError("a rule needs a value, or hides = true, or silences = true")
        return self

    def finds(self, text: str, context: str) -> re.Match[str] | None:
        """Return where `text` fits the rule, None where it does not."""
        match = self.words.search(text)
        if match is None or (self.unless and self.unless.search(text)):
            return None
        if self.only_with and not self.only_with.search(context):
            return None
        return match


class Physics(BaseModel):
    """One row of the table of MR timing: bounds in ms, degrees, s/mm2; ends included.

    An attribute that is missing fails its bounds; it passes ``TI_max``, ``b_max``, ``FA_min``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    value: Sequence
    weight: Annotated[float, Field(gt=0, le=20)]
    scanning: frozenset[str] = frozenset()
    not_scanning: frozenset[str] = frozenset()
    variant: frozenset[str] = frozenset()
    not_variant: frozenset[str] = frozenset()
    TR: Bounds = None
    TE: Bounds = None
    TI: Bounds = None
    FA: Bounds = None
    ETL: Bounds = None
    b: Bounds = None
    TI_max: float | None = None
    b_max: float | None = None
    FA_min: float | None = None
    example: dict[str, str | float]
    unlike: dict[str, str | float] = {}

    def fires(self, numbers: Mapping[str, float], scanning: set[str], variant: set[str]) -> bool:
        """Tell whether timing fits every bound that this row names."""
        if self.scanning and not self.scanning & scanning:
            return False
        if self.variant and not self.variant & variant:
            return False
        if self.not_scanning & scanning or self.not_variant & variant:
            return False
        for name in ("TR", "TE", "TI", "FA", "ETL", "b"):
            bounds = getattr(self, name)
            if bounds and not (name in numbers and bounds[0] <= numbers[name] <= bounds[1]):
                return False
        if self.FA_min is not None and numbers.get("FA", self.FA_min) < self.FA_min:
            return False
        most = (("TI", self.TI_max), ("b", self.b_max))
        return all(limit is None or numbers.get(name, 0.0) <= limit for name, limit in most)


class _Table(BaseModel):
    """A file of rules, radnet's own or of a site."""

    model_config = ConfigDict(extra="forbid")

    rule: list[Rule] = []
    physics: list[Physics] = []
    disable: list[str] = []


@dataclass
class Rules:
    """All rules in force, and the memory of the texts they have read."""

    rules: tuple[Rule, ...]
    physics: tuple[Physics, ...]
    trust: Mapping[str, Mapping[str, float]]
    _read: dict[tuple[str, ...], tuple[Evidence, ...]] = field(default_factory=dict, repr=False)
    _chosen: dict[tuple[str, str, str], tuple[Rule, ...]] = field(default_factory=dict, repr=False)

    def sources(self, head: str) -> tuple[str, ...]:
        """Return the attributes that can speak of a head, the most trusted first."""
        named = [name for rule in self.rules if rule.head == head for name in rule.attributes]
        return tuple(dict.fromkeys([*self.trust[head], *named]))

    def read(
        self, head: str, attribute: str, text: str, modality: str, context: str
    ) -> tuple[Evidence, ...]:
        """Return what one text says of one head: the strongest rule for each value.

        Parameters
        ----------
        context
            All texts of the series in plain words, for rules with `only_with`.
        """
        chosen = self._for(head, attribute, modality)
        if not chosen or not text:
            return ()
        told = context if any(rule.only_with for rule in chosen) else ""
        key = (head, attribute, text, modality, told)
        if key not in self._read:
            if len(self._read) >= MOST_CACHED:
                self._read.clear()
            line = plain(text)
            rest = settled(line, modality) if head == "contrast" else line
            self._read[key] = () if rest is None else _read(chosen, attribute, line, rest, told)
        return self._read[key]

    def _for(self, head: str, attribute: str, modality: str) -> tuple[Rule, ...]:
        key = (head, attribute, modality)
        if key not in self._chosen:
            described = attribute in self.trust[head] and attribute not in OPAQUE
            self._chosen[key] = tuple(
                rule
                for rule in self.rules
                if rule.head == head
                and (attribute in rule.attributes or (described and not rule.attributes))
                and rule.modality in ("", modality)
            )
        return self._chosen[key]


def _read(
    rules: Iterable[Rule], attribute: str, line: str, shown: str, context: str
) -> tuple[Evidence, ...]:
    """Apply rules to a `plain` line; those that silence see it, others only what is `shown`."""
    rest = shown
    best: dict[str, Evidence] = {}
    for rule in sorted(rules, key=lambda rule: (not rule.silences, not rule.hides)):
        match = rule.finds(shown if rule.silences or rule.hides else rest, context)
        if match is None and rule.silences and shown != line:
            match = rule.finds(line, context)
        if match is None:
            continue
        if rule.silences:
            return ()
        if rule.hides:
            rest = " ".join(rule.words.sub(" ", rest).split())
        if rule.value and (rule.value not in best or best[rule.value].weight < rule.weight):
            found = match.group(0).strip() or line
            best[rule.value] = Evidence(rule.value, rule.weight, rule.id, attribute, found[:SHOWN])
    return tuple(best.values())


def _parsed(text: str, name: str, head: str = "") -> _Table:
    raw: dict[str, Any] = tomllib.loads(text)
    groups: dict[str, str] = raw.pop("groups", {})
    for rule in raw.get("rule", ()):
        if head and isinstance(rule, dict):
            rule.setdefault("head", head)
        if isinstance(rule, dict) and rule.get("value") in groups:
            rule["value"] = groups[rule["value"]]
    try:
        return _Table.model_validate(raw)
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
        )
        raise UnusableVolumeError(f"{name}: {told}") from error


def load_rules(site: Path | None = None) -> Rules:
    """Return radnet's rules, and those of a site read after them.

    Raises
    ------
    UnusableVolumeError
        If the file of the site is missing, no TOML, or holds a row that cannot be a rule.
    """
    folder = files("radnet.labels") / "tables"
    rules: list[Rule] = []
    physics: list[Physics] = []
    for name in TABLES:
        head = name if name not in ("kind", "physics", "attributes") else ""
        table = _parsed((folder / f"{name}.toml").read_text("utf-8"), f"{name}.toml", head)
        rules += table.rule
        physics += table.physics
    if site is not None:
        rules, physics = _with_site(rules, physics, site)
    trust = tomllib.loads((folder / "sources.toml").read_text("utf-8"))
    return Rules(tuple(rules), tuple(physics), trust)


def _with_site(
    rules: list[Rule], physics: list[Physics], site: Path
) -> tuple[list[Rule], list[Physics]]:
    try:
        table = _parsed(site.read_text("utf-8"), str(site))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UnusableVolumeError(f"{site}: cannot be read as rules ({error})") from error
    known = {(rule.id) for rule in rules} | {row.id for row in physics}
    strange = sorted(set(table.disable) - known)
    if strange:
        raise UnusableVolumeError(
            f"{site}: disables {', '.join(strange)}, which no rule is called"
        )
    off = set(table.disable)
    return (
        [rule for rule in rules if rule.id not in off] + table.rule,
        [row for row in physics if row.id not in off] + table.physics,
    )
