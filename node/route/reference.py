"""The reference of rules, made from what the code knows: `deploy/RULES.md` holds what it says."""

from collections.abc import Iterator
from typing import Final

from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword

from node.model.findings import FINDINGS, YES_NO_TEXTS, ValueType
from node.route.facts import HEADER_KEYWORDS
from node.route.vocabulary import FACTS, ValueKind

_UNITS: Final = {
    "EchoTime": "ms", "InversionTime": "ms", "RepetitionTime": "ms", "KVP": "kV",
    "MagneticFieldStrength": "T", "PatientAge": "years", "SliceThickness": "mm",
    "SpacingBetweenSlices": "mm",
}  # fmt: skip
_TITLES: Final = {
    "calling_ae": "AE title of whoever sent the series",
    "called_ae": "AE title that it called; absent where the series came another way",
}

_HEAD: Final = """\
# Rules

`radnode rules reference` prints this page; it is made from the code.

A rule is a condition in [CEL](https://cel.dev) and what follows where it holds. All rules that
match count, until one with `stop = true`. `radnode check` refuses rules that can never match,
and `radnode rules try UID|FILE|--last 7d` tells what each would do, without doing it.

```toml
[[rules]]
name = "liver-on-abdominal-ct"
when = 'findings.sequence.value == "CT" && "liver" in findings.coverage.value'
deliver = ["pacs"]        # destinations of the images
segment = ["liver"]       # what to segment
results_to = ["pacs"]     # destinations of what is made of them, and of the study's summary
urgent = false            # true: what it sends overtakes the rest and waits for no window
stop = false              # true: no rule below it is asked where it matches
```

## What is absent
What the header does not have, and what is unknown, equals nothing and contains nothing: `==`,
`<`, `>`, `in`, `contains`, `startsWith`, `endsWith` and `matches` are false, `!=` is true, and
`== null` is true. `has(header.EchoTime)` tells whether an attribute is there. `findings.X.value`
is `null` where it is unknown; for a region in `coverage_unknown` neither `"liver" in
findings.coverage.value` nor its negation holds.

"""


def reference() -> str:
    """Return the page, Markdown."""
    return _HEAD + "\n".join([*_findings(), "", *_headers(), "", *_sources(), ""])


def _findings() -> Iterator[str]:
    yield "## Findings"
    yield "`findings.NAME.value` and `findings.NAME.probability` (0 to 1, of the value)."
    yield ""
    yield "| finding | kind | permitted values | |"
    yield "|---|---|---|---|"
    for name, kind in FACTS["findings"].members.items():
        value = kind.members["value"]
        permitted = ", ".join(f'`"{text}"`' for text in value.permitted)
        yield f"| `{name}` | {_kind(value)} | {permitted} | {_meaning(name)} |"


def _meaning(name: str) -> str:
    """Return what a finding means; of a yes or no, what the text of "yes" does."""
    kind = FINDINGS[name]
    yes = f'"{YES_NO_TEXTS[True]}": ' if kind.type is ValueType.YES_NO else ""
    return f"{yes}{kind.meaning}"


def _headers() -> Iterator[str]:
    yield "## Header"
    yield "`header.KEYWORD`, of the first instance that can be read. A text in which the header"
    yield "holds several values is a list. Nothing that names the patient can be asked for."
    yield ""
    yield "| keyword | attribute | tag | kind |"
    yield "|---|---|---|---|"
    for keyword in sorted(HEADER_KEYWORDS):
        tag = tag_for_keyword(keyword) or 0
        kind = _kind(FACTS["header"].members[keyword])
        unit = f", {_UNITS[keyword]}" if keyword in _UNITS else ""
        cell = f"{dictionary_description(tag)} | ({tag >> 16:04X},{tag & 0xFFFF:04X})"
        yield f"| `{keyword}` | {cell} | {kind}{unit} (VR {dictionary_VR(tag)}) |"


def _sources() -> Iterator[str]:
    yield "## Source"
    yield ""
    yield "| name | kind | |"
    yield "|---|---|---|"
    for name, kind in FACTS["source"].members.items():
        yield f"| `source.{name}` | {_kind(kind)} | {_TITLES[name]} |"


def _kind(kind: ValueKind) -> str:
    return {"texts": "list of texts"}.get(kind.shape, kind.shape)
