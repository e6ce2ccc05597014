"""Words for the agent that mean another thing, and signs that leave open if it was given.

An event of the agent (a leak, an allergy) is not its gift; "- contrast" may be a list or a minus,
"KM X" a cross or a tick, "cm" a length. All of these say nothing; a wrong label would be learned.
"""

from itertools import product

import pytest

from radnet.labels.row import TableRow, label_row
from radnet.labels.rules import load_rules

RULES = load_rules()
AGENTS = ("contrast", "KM", "Kontrastmittel", "mdc", "gad", "IV contrast", "contraste")
EVENTS = {  # an agent, what comes before it, what after
    "en": ("contrast|IV contrast|CM",
           "allergy to|leak of|extravasation of|reaction to|fear of leak of",
           "leak|leakage|leak test|reaction|extravasation|phantom|injector|consent|risk"),
    "de": ("KM|Kontrastmittel", "Allergie gegen|Reaktion auf|Austritt von",
           "Allergie|-Reaktion|-Paravasat|-Austritt|Unverträglichkeit|-Aufklärung"),
    "nl": ("contrast|contrastmiddel", "allergie voor|reactie op", "allergie|reactie|lekkage"),
    "fr": ("contraste|produit de contraste|iode", "allergie au|fuite de|réaction au|allergie à l'",
           "allergie|fuite|réaction"),
    "es": ("contraste|gadolinio|medio de contraste",
           "alergia al|fuga de|extravasación de|reacción al|intolerancia al", "alergia|reacción"),
    "pt": ("contraste|meio de contraste", "alergia ao|vazamento de|extravasamento de|reação ao",
           "alergia|reação"),
    "it": ("mdc|mezzo di contrasto|contrasto",
           "allergia al|stravaso di|reazione al|intolleranza al|perdita di", "reazione|stravaso"),
    "da-no-sv": ("kontrast|kontrastmiddel|kontrastmedel",
                 "allergi för|reaktion på|läckage av|lekkasje av", "allergi|reaktion|reaksjon"),
    "ro": ("contrast|substanță de contrast", "alergie la|reacție la|scurgere de",
           "alergie|reacție"),
    "ca": ("contrast|contrast iodat", "al·lèrgia al|fuga de|extravasació de|reacció al",
           "reacció"),
}  # fmt: skip


def said(description: str, modality: str = "CT") -> str:
    """Return the contrast of a series by its description."""
    return str(label_row(TableRow(modality, description), RULES).contrast.value)


@pytest.mark.parametrize("tongue", EVENTS)
def test_what_the_agent_does_is_not_that_it_was_given(tongue: str) -> None:
    """Each event x each agent x both orders x region before, behind or none."""
    agents, before, after = (words.split("|") for words in EVENTS[tongue])
    phrases = [f"{event} {agent}".replace("' ", "'") for event, agent in product(before, agents)]
    phrases += [f"{agent} {event}".replace(" -", "-") for agent, event in product(agents, after)]
    texts = [text for one in phrases for text in (one, f"thorax {one}", f"{one} abdomen 5.0 B30f")]

    assert {text: found for text in texts if (found := said(text))} == {}


@pytest.mark.parametrize("agent", AGENTS)
def test_signs_and_words_that_leave_it_open(agent: str) -> None:
    """A dash with a space, a cross, an empty box, a question, an option: before and after."""
    texts = [
        text
        for sign in ("-", "\u2013", "X", "x", "[ ]", "[x]", "?", "±", "+/-", "optional",
                     "possible", "residual", "retained", "old")
        for text in (f"{sign} {agent}", f"thorax {sign} {agent}", f"{sign} {agent} 5.0 B30f")
    ] + [
        text
        for sign in ("X", "x", "?", "(?)", "[ ]", "Y/N", "TBD", ": tbc", "optional", "pending",
                     "if needed")
        for text in (f"{agent} {sign}", f"thorax {agent} {sign}", f"{agent} {sign} 5.0 B30f")
    ]  # fmt: skip

    assert {text: found for text in texts if (found := said(text)) == "contrast"} == {}


@pytest.mark.parametrize(
    "description",
    [
        "z/KM", "thorax z/ KM", "z KM", "z. KM", "z/kontrast", "z/IV",
        "cm", "CM", "cm scale", "in cm", "length (cm)", "size cm", "cm/s", "cm H2O", "cm thorax",
        "with cm scale", "cm from carina", "2 cm above", "cm grid thorax", "CM oberhalb",
        "km 12", "Km/h", "12 km", "per km",
        "with 3D", "CT HEAD WITH 3D", "w 3D", "W/ 3D recon", "with 3 views", "with 2 mm cuts",
        "with 1.25 recons", "chest with abdomen", "abdomen with chest", "w/ chest", "with kidney",
        "Kontrastmittellösung", "Kontrastauflösung", "Kontrasteinlauf", "contrastlekkage",
        "kontrastallergi", "kontrastläckage", "Kontrastmittelunverträglichkeit",
    ],
)  # fmt: skip
def test_what_only_looks_like_the_agent_says_nothing(description: str) -> None:
    """Units, pictures in three dimensions, regions side by side, one word for another thing."""
    assert said(description) == ""


@pytest.mark.parametrize(
    "description", ["dyn_breath", "dyn free breath", "dyn hand", "dynamic tongue", "contrast leak"]
)
def test_motion_says_nothing_of_an_agent(description: str) -> None:
    """A dynamic series shows what moves."""
    assert said(description, "MR") == ""


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("Contrast - OMNI", "contrast"), ("Abdomen - with contrast", "contrast"),
        ("Abdomen - contrast enhanced", "contrast"), ("post - contrast", "contrast"),
        ("contrast x 100 ml", "contrast"), ("KM", "contrast"), ("Abd KM 5.0 B30f", "contrast"),
        ("KM 80 ml", "contrast"), ("Thorax CM", "contrast"), ("chest with 3.0 B40f", "contrast"),
        ("CHEST W 5mm", "contrast"), ("AP W/KIDNEY & BLADDER DELAY", "contrast"),
        ("CAP WITH", "contrast"), ("anastomotic leak with contrast", "contrast"),
        ("z kontrastem", "contrast"), ("z/contrast", "noncontrast"),
        ("kontrastlos", "noncontrast"),
        ("contrast -", "noncontrast"), ("no contrast, allergy to contrast", ""),
        ("Kontrastmittelfreies CT", "noncontrast"), ("kontrastloses CT", "noncontrast"),
    ],
)  # fmt: skip
def test_what_is_clear_stays_so(description: str, expected: str) -> None:
    """The neighbours of what leaves it open."""
    assert said(description) == expected
