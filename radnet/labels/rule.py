"""The rows that rules are made of: words, and bounds of MR timing."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from radnet.labels.vocabulary import ELSEWHERE, UNTOLD, Contrast, Plane, Region, Sequence

Head = Literal["sequence", "plane", "contrast", "coverage", "localizer", "derived"]
VALUES: Final[dict[str, type[StrEnum]]] = {
    "sequence": Sequence,
    "plane": Plane,
    "contrast": Contrast,
}
DEFAULT_WEIGHT: Final = 4.0


def _compiled(pattern: object) -> object:
    try:
        return re.compile(pattern) if isinstance(pattern, str) else pattern
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error


Words = Annotated[re.Pattern[str], BeforeValidator(_compiled)]
Bounds = Annotated[list[float], Field(min_length=2, max_length=2)] | None


class LabelRule(BaseModel):
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
    def _value_of_the_head(self) -> "LabelRule":
        allowed: set[str] = {"1", "0"}
        if self.head == "coverage":
            allowed = {*Region, ELSEWHERE, UNTOLD}
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
