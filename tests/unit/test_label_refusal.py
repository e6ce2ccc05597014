"""An agent that was refused, cancelled, lacking or never given, in the words of many languages.

Nobody can list all words that may stand between a negation and the agent ("no plans for
contrast"): where strange ones do, the text says nothing. It never says that the agent was given.
"""

from itertools import product

import pytest

from radnet.labels.row import TableRow, label_row
from radnet.labels.rules import load_rules

RULES = load_rules()
BEFORE = {
    "en": ("with out|never|lacks|lack of|absence of|zero|nil|not using|unable to receive|deferred"
           "|did not receive|cancelled|contraindication to|no plans for|no indication seen for",
           "contrast|IV contrast|contrast media|Isovue 370|contrast injection|CM"),
    "de": ("ohne jedes|ohne jegliches|frei von|Verzicht auf|keinerlei|ohne Gabe von|Ø|nicht mit",
           "KM|Kontrastmittel|K.M.|i.v. KM|KM-Gabe"),
    "fr": ("absence de|avant toute|ni|refus de|Ø|sans aucune|sans utilisation de|jamais de",
           "contraste|produit de contraste|injection|gadolinium"),
    "es": ("no se administra|previo a|libre de|ausencia de|nunca|ni|sin uso de|sin|s.",
           "contraste|gadolinio|contraste EV|medio de contraste"),
    "it": ("assenza di|privo di|senza uso di|senza somministrazione di|rifiuta|prima del|s.",
           "mezzo di contrasto|MdC ev|m.d.c.|gadolinio"),
    "nl": ("zonder gebruik van|vrij van|afwezigheid van|nooit|z/", "contrast|iv contrast"),
    "pt": ("sem uso de|não usar|ausência de|livre de|isento de", "contraste|contraste EV"),
    "da-no-sv": ("uden brug af|utan tillförsel av|fri for|aldrig|foran",
                 "kontrast|kontrastmiddel"),
    "ro": ("nu|lipsă|absența|niciun|nici un", "contrast|substanță de contrast"),
}  # fmt: skip
AFTER = {
    "en": ("held|was held|zero|0|0 cc|0cc|deferred|cancelled|unavailable|not required|not used",
           "contrast|IV contrast|Isovue 370|contrast media"),
    "de": ("entfällt|kontraindiziert|verweigert|abgelehnt|abgebrochen|Ø|nicht erfolgt",
           "KM|Kontrastmittel|i.v. KM"),
    "fr": ("refusé|refusée|contre-indiqué|absente|nul", "contraste|injection de contraste"),
    "es": ("ausente|negado|rechazado|contraindicado|suspendido|no se administró", "contraste"),
    "it": ("rifiutato|controindicato|assente|negato", "mezzo di contrasto|mdc|MDC iodato"),
    "nl": ("geweigerd|gecontra-indiceerd|afwezig", "contrast|contrastmiddel"),
    "pt": ("recusado|ausente|contraindicado|negado", "contraste"),
    "da-no-sv": ("afvist|avstått|kontraindiceret|ikke givet", "kontrast|kontrastmiddel"),
    "ro": ("nu|refuzat|neadministrat|nu s-a administrat", "contrast"),
}  # fmt: skip


def said(description: str, modality: str = "CT") -> str:
    """Return the contrast of a series by its description."""
    return str(label_row(TableRow(modality, description), RULES).contrast.value)


@pytest.mark.parametrize("tongue", BEFORE)
def test_agent_after_words_of_refusal_was_not_given(tongue: str) -> None:
    """Words of never, lack, refusal; links such as "use of"; a struck zero."""
    negations, agents = (words.split("|") for words in BEFORE[tongue])
    texts = [
        text.replace("/ ", "/")
        for negation, agent in product(negations, agents)
        for text in (
            f"thorax {negation} {agent}",
            f"{negation} {agent} thorax",
            f"thorax {negation} {agent} 5.0 B30f",
        )
    ]
    told = {text: said(text) for text in texts}

    assert [text for text, value in told.items() if value == "contrast"] == []
    assert sum(value == "noncontrast" for value in told.values()) >= 0.7 * len(texts)


@pytest.mark.parametrize("tongue", AFTER)
def test_agent_before_words_of_refusal_was_not_given(tongue: str) -> None:
    """As in "KM verweigert", "contrast held", "contraste: nul"."""
    negations, agents = (words.split("|") for words in AFTER[tongue])
    texts = [
        text
        for negation, agent in product(negations, agents)
        for text in (
            f"thorax {agent} {negation}",
            f"{agent} {negation} thorax",
            f"thorax, {agent}: {negation}",
        )
    ]
    told = {text: said(text) for text in texts}

    assert [text for text, value in told.items() if value == "contrast"] == []
    assert sum(value == "noncontrast" for value in told.values()) >= 0.6 * len(texts)


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("NO C+", "noncontrast"), ("sine contrast", "noncontrast"), ("NECT", "noncontrast"),
        ("Contrast volume: 0", "noncontrast"), ("contrast amount 0 ml", "noncontrast"),
        ("sin inyectar", "noncontrast"), ("natywne", "noncontrast"),
        ("contrast media allergy", ""), ("contrast-to-noise", ""), ("contrast scale", ""),
        ("low contrast detectability", ""), ("contrast =0 chest", ""),
        ("Ø 5 mm", ""), ("mean Ø nodule", ""),
        ("arterial stenosis", ""), ("venous thromboembolism history", ""),
        ("delayed milestones", ""), ("late onset", ""), ("CM of growth", ""),
        ("nach Gabe von KM", "contrast"), ("dopo somministrazione di mdc", "contrast"),
        ("tras administración de contraste", "contrast"), ("TAP injecté", "contrast"),
        ("CHEST WITH IV CONTRAST 100ML ISOVUE 370", "contrast"), ("Ultravist 370", "contrast"),
        ("no fever chest with contrast", "contrast"), ("post contrast held breath", "contrast"),
        ("with contrast free breathing", "contrast"), ("Contrast/Bolus Agent: NI", ""),
    ],
)  # fmt: skip
def test_words_beside_the_agent(description: str, expected: str) -> None:
    """What is refused, what only sounds so, and what was given all the same."""
    assert said(description) == expected


@pytest.mark.parametrize(
    "description",
    [
        "dynamic PROPELLER", "MRCP dynamic secretin", "dyn field map", "real time dynamic",
        "perfusion arterial spin", "FAIR perfusion", "VASO perfusion", "cardiac multi phase",
        "multiphase FIESTA", "dynamic knee",
    ],
)  # fmt: skip
def test_mr_that_moves_by_other_names_says_nothing(description: str) -> None:
    """Motion of joints, hearts and fluids, and blood that is labelled without the word."""
    assert said(description, "MR") == ""
