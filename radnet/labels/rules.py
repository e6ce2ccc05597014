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

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from radnet.errors import DataError
from radnet.labels.evidence import Evidence
from radnet.labels.reader import OPAQUE, Reader
from radnet.labels.rule import LabelRule, Physics
from radnet.labels.text import plain

TABLES: Final = ("sequence", "plane", "contrast", "coverage", "kind", "physics", "attributes")
MOST_CACHED: Final = 300_000  # texts whose reading is remembered


class _Table(BaseModel):
    """A file of rules, radnet's own or of a site."""

    model_config = ConfigDict(extra="forbid")

    rule: list[LabelRule] = []
    physics: list[Physics] = []
    disable: list[str] = []


@dataclass
class Rules:
    """All rules in force, and the memory of the texts they have read."""

    rules: tuple[LabelRule, ...]
    physics: tuple[Physics, ...]
    trust: Mapping[str, Mapping[str, float]]
    _read: dict[tuple[str, ...], tuple[Evidence, ...]] = field(default_factory=dict, repr=False)
    _chosen: dict[tuple[str, str, str], tuple[LabelRule, ...]] = field(
        default_factory=dict, repr=False
    )

    def sources(self, head: str) -> tuple[str, ...]:
        """Return the attributes that can speak of a head, the most trusted first.

        Parameters
        ----------
        head : str
            Such as ``sequence``; a key of `trust`.

        Returns
        -------
        tuple of str
            DICOM keywords, each once.
        """
        named = [name for rule in self.rules if rule.head == head for name in rule.attributes]
        return tuple(dict.fromkeys([*self.trust[head], *named]))

    def read(
        self, head: str, attribute: str, text: str, modality: str, context: str
    ) -> tuple[Evidence, ...]:
        """Return what one text says of one head: the strongest rule for each value.

        Parameters
        ----------
        head : str
            Such as ``sequence``.
        attribute : str
            DICOM keyword of the attribute that holds the text.
        text : str
            As it stands there.
        modality : str
            ``CT``, ``MR`` or another, upper case.
        context : str
            All texts of the series in plain words, for rules with `only_with`.

        Returns
        -------
        tuple of Evidence
            Log-odds of each value that the text speaks for; () where it says nothing.
        """
        chosen = self._for(head, attribute, modality)
        if not chosen or not text:
            return ()
        told = context if any(rule.only_with for rule in chosen) else ""
        key = (head, attribute, text, modality, told)
        if key not in self._read:
            if len(self._read) >= MOST_CACHED:
                self._read.clear()
            line, read = plain(text), Reader(chosen, attribute, told)
            if head == "contrast":
                self._read[key] = read.agent(line, modality)
            elif head == "coverage":
                self._read[key] = read.regions(line)
            else:
                self._read[key] = read.rules_of(line, line)
        return self._read[key]

    def _for(self, head: str, attribute: str, modality: str) -> tuple[LabelRule, ...]:
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
        raise DataError(f"{name}: {told}") from error


def load_rules(site: Path | None = None) -> Rules:
    """Return radnet's rules, and those of a site read after them.

    Parameters
    ----------
    site : Path or None
        TOML of a site, in the form at the head of this file; None: radnet's rules alone.

    Returns
    -------
    Rules
        Those of radnet first, then those of the site.

    Raises
    ------
    DataError
        If the file of the site is missing, no TOML, or holds a row that cannot be a rule.
    """
    folder = files("radnet.labels") / "tables"
    rules: list[LabelRule] = []
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
    rules: list[LabelRule], physics: list[Physics], site: Path
) -> tuple[list[LabelRule], list[Physics]]:
    try:
        table = _parsed(site.read_text("utf-8"), str(site))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{site}: cannot be read as rules ({error})") from error
    known = {(rule.id) for rule in rules} | {row.id for row in physics}
    strange = sorted(set(table.disable) - known)
    if strange:
        raise DataError(f"{site}: disables {', '.join(strange)}, which no rule is called")
    off = set(table.disable)
    return (
        [rule for rule in rules if rule.id not in off] + table.rule,
        [row for row in physics if row.id not in off] + table.physics,
    )
