"""How the rules of one label read one text: scope and ranges first, then row by row."""

from dataclasses import dataclass
from typing import Final

from radnet.labels.agent import settled
from radnet.labels.evidence import Evidence
from radnet.labels.reach import ranged
from radnet.labels.rule import DEFAULT_WEIGHT, LabelRule

OPAQUE: Final = {"collection", "implied"}  # no descriptions: read only by rules that name them
SHOWN: Final = 64  # characters of a text that evidence repeats


@dataclass(frozen=True)
class Reader:
    """Applies the rules that were chosen for one attribute to its `plain` text."""

    rules: tuple[LabelRule, ...]
    attribute: str
    context: str

    def agent(self, line: str, modality: str) -> tuple[Evidence, ...]:
        """Read what a line says of the agent, once its negations are settled."""
        shown = settled(line, modality)
        return () if shown is None else self.rules_of(line, shown)

    def regions(self, line: str) -> tuple[Evidence, ...]:
        """Read the range between two landmarks, and what else is named."""
        if self.attribute in OPAQUE:
            return self.rules_of(line, line)
        rest, value, words = ranged(line)
        named = self.rules_of(rest, rest)
        if not value:
            return named
        return (Evidence(value, DEFAULT_WEIGHT, "range", self.attribute, words[:SHOWN]), *named)

    def rules_of(self, line: str, shown: str) -> tuple[Evidence, ...]:
        """Apply the rules; those that silence see `line`, too, others only what is `shown`."""
        rest = shown
        best: dict[str, Evidence] = {}
        for rule in sorted(self.rules, key=lambda rule: (not rule.silences, not rule.hides)):
            match = rule.finds(shown if rule.silences or rule.hides else rest, self.context)
            if match is None and rule.silences and shown != line:
                match = rule.finds(line, self.context)
            if match is None:
                continue
            if rule.silences:
                return ()
            if rule.hides:
                rest = " ".join(rule.words.sub(" ", rest).split())
            known = best.get(rule.value)
            if rule.value and (known is None or known.weight < rule.weight):
                found = (match.group(0).strip() or line)[:SHOWN]
                best[rule.value] = Evidence(
                    rule.value, rule.weight, rule.id, self.attribute, found
                )
        return tuple(best.values())
