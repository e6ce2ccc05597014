"""Descriptions made comparable: one line of lower-case words without accents or signs.

Technologists write ``AXIALT2FLAIR``, ``3DPREGAD``, ``W/O CONTRAST`` and ``c+``. Rules see words
only, so that ``i-`` never stands in "unilateral" and "unenhanced" is never "enhanced".
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

LONGEST: Final = 1024  # characters read of a text; LO holds 64, LT 10240 (PS3.5 Section 6.2)

_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z](?!s\b)[a-z])")
_TO: Final = re.compile(r"(?<=[A-Z0-9])to(?=[A-Z])")  # STIRtoPET
_BEFORE: Final = re.compile(r"\b[Ff]ør\b")  # Danish and Norwegian; without its stroke it is "for"
_NOUGHT: Final = re.compile(r"(?<!\w)[Øø∅](?!\w)")  # "Ø KM"
_LETTERS: Final = str.maketrans("øØłŁđĐ\u0131", "oOlLdDi", "")  # that Unicode does not take apart
_SIGNED: Final = r"(?:i[ .]?v\.?|e\.?v\.?|km|kl|gd|mdc|pdc|inj)"  # an agent that a sign may follow
_SLASHED: Final = (
    r"c(?:\b|te\b|iv\b|ontr)|k(?:m\b|ontr)|g(?:d\b|ad)|i[ .]?v\b|inj|m(?:dc|edio|eio|ezzo)\b"
    r"|p(?:dc|roduit)\b"
)
_NAMED: Final = r"(?:contr\w*|kontr\w*|gad\w*)"
_STEPS: Final = tuple(  # expression, what stands for it, the signs without which it finds nothing
    (re.compile(pattern), words, frozenset("".join(signs)))
    for pattern, words, *signs in (
        (r"p0st", "post"),
        (r"\bwith out\b(?! of)", "without"),
        (r"\b(?:m\.d\.c|m dc|md c)\b\.?|\bm d c\b", "mdc"),
        (r"\bk\.m\b\.?", "km", "."),
        (r"\bni (?=contraste|inj|iny|iv\b|civ\b|gad|mdc|produit|pdc|medio|iode)", "sans "),
        (r"\bt[il](?=[ _]|$)(?=.*(mprage|flair|spgr|vibe))", "t1"),
        (r"(?<![a-z])(ax|cor|sag|axial|coronal|sagittal)(?=wo?(?![a-z]))", r"\1 "),
        (r"\bw ?[/\\&+_.-]? ?(?:and|und|et)? ?w(?: ?[/\\] ?| ?|[._-])o\b", " both "),
        (r"\bw(?:ith)? ?(?:/|&|\+|and) ?(?:w ?/? ?o|without)\b", " both "),
        (
            r"(?<![a-z0-9])w(?: ?[/\\] ?|[._-])o(?:ut)?(?![a-z0-9])|\bw out\b|\bw/0(?![.\d])"
            r"|\bwo\b|(?<![a-z])wo(?=_)|(?<=_)wo(?![a-z])",
            " without ",
        ),
        (r"\( ?[-\u2013] ?\)|(?<!\bc)(?<!\bi)[-\u2013] *$", " minus ", "-\u2013"),
        (rf"(?<![a-z])({_SIGNED}|cm|{_NAMED}) ?(?:\( ?\+ ?\)|\+)", r" with \1 ", "+"),
        (
            rf"(?<![a-z])(?<!\d)(?<!\d )({_SIGNED}|cm)[-\u2013](?![a-z0-9(])",
            r" \1 minus ",
            "-\u2013",
        ),
        (
            rf"(?:(?<=[\s(\[,;:])|^)(?<!post )(?<!pre )(?<!with )(?<!non )(?<!no )"
            rf"[-\u2013](?={_SIGNED}(?![a-z]))",
            " minus ",
            "-\u2013",
        ),
        (
            r"(?:(?<=[\s(\[,;:])|^)(?<!post )(?<!pre )(?<!with )(?<!non )(?<!no )"
            rf"[-\u2013](?={_NAMED}| +(?:{_SIGNED}|{_NAMED})\b(?![ -]enh))",
            " dash ",
            "-\u2013",
        ),
        (
            rf"(?:\u00b1|\+ ?/ ?[-\u2013]|\[ ?\]|\( ?\)|\?) ?(?=(?:{_SIGNED}|{_NAMED})(?![a-z]))",
            " dash ",
            "\u00b1/[(?",
        ),
        (
            rf"(?<![a-z])({_SIGNED}|{_NAMED}) ?[:(\[]? ?"
            r"(?:\u00b1|\?|\[ ?\]|\( ?\)|[yj] ?/ ?n\b)",
            r" \1 dash ",
            "\u00b1/[(?",
        ),
        (r"(?<![a-z0-9/])z[ ./]+(?=(?:km|gd|gad\w*|mdc|iv|i\.v\.)(?![a-z]))", " dash ", "z"),
        (r"(?<![a-z0-9/])z ?/ ?(?=kontr)", " dash ", "/"),
        (
            r"(?<![a-z/])(?:[su] ?/|z ?/(?= ?c| ?iv c| ?i\.v\.? c)|s[ .]+(?=contraste|cte\b|civ\b)"
            r"|s\. ?(?=gad|contrasto|m(?:dc|edio|eio|ezzo)\b)|u[ .]+(?=kontr)|o ?[./]) ?"
            rf"(?={_SLASHED})",
            " without ",
            "/. ",
        ),
        (rf"(?<![a-z/])(?:[cm] ?/|m[ .]) ?(?={_SLASHED})", " with ", "/. "),
        (r"(?:, ?|_)i ?dose[ _]?\(?\d\)?", " "),
        (r"\bs\.c\.(?=\s|$)", " without c ", "."),
        (r"\bpo (?=kontr|podan)", "post "),
        (r"(?<![a-z])w ?/", " with ", "/"),
        (r"\+ ?c(?![a-z])|(?<![a-z])[ci]\+|\bc ?\+(?=\s|$)", " cplus ", "+"),
        (r"\+ ?(?=(?:gad|gd|contrast|kontr|kontrast|ce|cm|km|iv)\b)", " plus ", "+"),
        (r"(?<![a-z0-9])[ci]-(?![a-z0-9])|(?<=\s)-c(?=\s|$)", " cminus ", "-"),
        (r"\b(t ?[12])w? ?\*", r" \1star ", "*"),
        (r"&", " and ", "&"),
        (r"[^a-z0-9]+", " "),
        (r"\bc minus\b", "cminus"),
        (r"\b(s{1,2}|\d+)(?=dyn)|(?<=\dcc)(?=[a-z])", r"\g<0> "),
        (
            r"(?<=chest|thora|torax|horax)(?=(?:sag|cor|ax)(?:\b|itt|onal|ial))|(?<=abd|pel|men|vis)"
            r"(?=(?:sag|cor|ax)(?:\b|itt|onal|ial))|(?<=[23]d)(?=(?:sag|cor|ax|tra)\b)",
            " ",
        ),
        (r"(?<=[a-z]{3})(?=(?:post|pre)\b)", " "),
        (r"\bt ([12])(?=\b|w)", r"t\1"),
        (
            r"(axials?|ax|cor(?:onal)?|sag(?:ittal)?|tra|lt|rt|pre|post|fs|se|rare)"
            r"(?=t[12]|(?:pd|stir|flair|tirm|fse|tse|haste|dwi|mpr|mip|f?spgr|vibe|lava|3d|2d)"
            r"(?![a-z]{3}))",
            r"\1 ",
        ),
        (r"(?<=\b[23]d)(?=[a-z_])(?!eg|yn)", " "),
        (
            r"(?<=t[12])(?=(?:w ?)?(?:3d|2d|a|i|d|t)?"
            r"(?:fse|tse|flair|stir|tirm|se|spgr|fl|ffe|gre|ax|cor|sag|tra|haste|space|vibe|tfe|"
            r"pre|post|fs|mprage|blade|dixon|weighted))",
            " ",
        ),
        (
            r"\b(pre|post)(?=(?:gad|con|contrast|gd|cm|dyn|ax|axial|cor|coronal|sag|sagittal)\b)",
            r"\1 ",
        ),
        (r"\bt([12]) w\b", r"t\1w"),
        (r"\b(ax|cor|sag|tra)(?=\d)", r"\1 "),
        (r" +", " "),
    )
)


_SIGNS: Final = frozenset().union(*(signs for _, _, signs in _STEPS))


@lru_cache(maxsize=200_000)
def plain(text: str) -> str:
    """Return `text` as lower-case words with one space between them.

    ``w/o`` becomes "without", ``w/wo`` "both", ``+C`` "cplus", ``C-`` "cminus" and ``T2*``
    "t2star"; glued words (``AXIALT2FLAIR``) and CamelCase are cut apart.

    Parameters
    ----------
    text : str
        Any text of a header; only its first `LONGEST` characters are read.

    Returns
    -------
    str
        Letters and digits without accents, words with one space between them; '' where there are
        none.
    """
    text = _NOUGHT.sub(" zero ", _BEFORE.sub("before", text[:LONGEST]))
    flat = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    flat = "".join(sign for sign in flat if not unicodedata.combining(sign))
    flat = _CAMEL.sub(" ", _TO.sub(" to ", flat)).lower()
    signs = _SIGNS.intersection(flat)
    for pattern, words, needed in _STEPS:
        if not needed or not needed.isdisjoint(signs):
            flat = pattern.sub(words, flat)
    return flat.strip()
