"""Was the agent given? Each negation with each word for the agent, in both orders, many tongues.

A word that stands before a noun ("no", "ohne") negates the agent after it only where nothing else
follows it: "CONTRAST NO ABDOMEN" may be left unknown, but is never contrast.
"""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from itertools import product

import pytest

from radnet.labels.agent import roles_of, settled
from radnet.labels.row import TableRow, label_row
from radnet.labels.rules import load_rules
from radnet.labels.text import plain

RULES = load_rules()


def said(description: str, modality: str = "CT") -> str:
    """Return the contrast of a series by its description."""
    return str(label_row(TableRow(modality, description), RULES).contrast.value)


@dataclass(frozen=True)
class Tongue:
    """Words of one language; `links` may stand between a negation and the agent."""

    region: str
    agents: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    given: tuple[str, ...]
    links: tuple[str, ...] = ("",)


TONGUES = {
    "en": Tongue(
        "Abdomen",
        ("contrast", "IV contrast", "Omnipaque", "gadolinium", "contrast medium", "IV"),
        ("without", "w/o", "w.o.", "w\\o", "W_O", "wo", "no", "non", "minus", "not", "refused"),
        ("none", ": none", "not given", "withheld", "(-)", "-", ": N", "no", "negative",
         "declined", "was not administered", "0 ml", "minus", "free"),
        ("with", "w/", "post", "after", "+"),
        ("", "any", "the use of"),
    ),
    "de": Tongue(
        "Oberbauch",
        ("KM", "Kontrastmittel", "Kontrast", "i.v. KM", "Gadolinium"),
        ("ohne", "kein", "keine", "nicht", "vor", "o."),
        ("nein", "-", "(-)", "nicht gegeben", "ohne", ": keines", "negativ"),
        ("mit", "nach", "m."),
    ),
    "fr": Tongue(
        "abdomen",
        ("injection", "contraste", "produit de contraste", "gado", "IV", "iode"),
        ("sans", "pas de", "pas d'", "non", "avant", "aucune"),
        ("non", "-", "(-)", ": néant", "négatif", "sans"),
        ("avec", "après"),
        ("", "d'"),
    ),
    "es": Tongue(
        "hígado",
        ("contraste", "gadolinio", "medio de contraste", "civ", "cte"),
        ("sin", "s/", "no", "antes de", "ningún"),
        ("no", "-", "(-)", "negativo", ": ninguno"),
        ("con", "c/", "tras", "después de"),
    ),
    "pt": Tongue(
        "abdome",
        ("contraste", "gadolínio", "meio de contraste"),
        ("sem", "s/", "não", "antes do"),
        ("não", "-", "(-)", "negativo"),
        ("com", "c/", "após", "pós"),
    ),
    "ca": Tongue(
        "fetge", ("contrast",), ("sense", "no", "abans de"), ("no",), ("amb", "després de")
    ),
    "it": Tongue(
        "addome",
        ("mdc", "mezzo di contrasto", "contrasto", "gadolinio", "iniezione"),
        ("senza", "no", "non", "prima del", "nessun"),
        ("no", "-", "(-)", "non somministrato", "senza"),
        ("con", "dopo"),
        ("", "il"),
    ),
    "nl": Tongue(
        "buik",
        ("contrast", "iv contrast", "contrastmiddel", "contrastvloeistof", "gadolinium"),
        ("zonder", "geen", "niet", "voor"),
        ("nee", "-", "(-)", "niet gegeven", "geen", "vrij"),
        ("met", "na"),
    ),
    "da-no-sv": Tongue(
        "hoved",
        ("kontrast", "iv kontrast", "kontrastmiddel", "kontrastmedel", "gadolinium"),
        ("uden", "uten", "utan", "u/", "ikke", "ingen", "ej", "før", "innan"),
        ("nej", "nei", "-", "(-)", "ikke givet", "uden", "fri"),
        ("med", "efter", "etter", "m/"),
    ),
    "ro": Tongue(
        "abdomen",
        ("contrast", "substanță de contrast", "gadolinium"),
        ("fără", "fara", "înainte de"),
        ("fără", "-", "negativ"),
        ("cu", "după"),
    ),
    "slavic": Tongue(
        "jama brzuszna",
        ("kontrastu", "kontrasta", "KL"),
        ("bez", "przed", "brez"),
        ("-",),
        ("z", "po", "s"),
    ),
}  # fmt: skip
SUFFIXES = ("", " 5.0 B30f", " axial")
ATTACHED = {"-", "pas d'", "s/", "u/", "o."}  # written to the word that follows


def glued(*parts: str) -> str:
    """Return the parts with a space between them, but for signs and elisions that take none."""
    text = " ".join(part for part in parts if part)
    for sign in ("' ", "/ "):
        text = text.replace(sign, sign[0])
    return text


@pytest.mark.parametrize("tongue", TONGUES.values(), ids=TONGUES)
def test_agent_after_a_negation_was_not_given(tongue: Tongue) -> None:
    """Each negation x each agent x each link x region before or after x what follows."""
    texts = [
        glued(*order, suffix)
        for negation, agent, link, suffix in product(
            tongue.before, tongue.agents, tongue.links, SUFFIXES
        )
        for order in (
            (tongue.region, negation, link, agent),
            (negation, link, agent, tongue.region),
        )
    ]
    wrong = {text: found for text in texts if (found := said(text)) == "contrast"}
    unknown = [text for text in texts if said(text) == ""]

    assert wrong == {}
    assert len(unknown) <= 0.02 * len(texts), unknown


@pytest.mark.parametrize("tongue", TONGUES.values(), ids=TONGUES)
def test_agent_before_a_negation_was_not_given(tongue: Tongue) -> None:
    """The other order: "KM nein", "contrast: none", "IV (-)"; and every negation of before."""
    ends = [
        f"{tongue.region} {agent} {negation}{suffix}"
        for negation, agent, suffix in product(tongue.after, tongue.agents, SUFFIXES)
        if not (negation == "-" and suffix)  # a dash between two words
    ]
    wrong = {text: found for text in ends if (found := said(text)) == "contrast"}
    turned = [
        glued(agent, negation, tongue.region)
        for negation, agent in product((*tongue.before, *tongue.after), tongue.agents)
        if negation not in ATTACHED
    ]

    assert wrong == {}
    assert [text for text in turned if said(text) == "contrast"] == []
    assert sum(said(text) == "noncontrast" for text in ends) >= 0.85 * len(ends)


@pytest.mark.parametrize("tongue", TONGUES.values(), ids=TONGUES)
def test_agent_that_was_given_stays_given(tongue: Tongue) -> None:
    """Prepositions of having, and of after, with each agent; for a bare agent, too."""
    texts = [
        glued(*order, suffix)
        for given, agent, suffix in product(tongue.given, tongue.agents, SUFFIXES)
        for order in ((tongue.region, given, agent), (given, agent, tongue.region))
    ]

    assert {text: said(text) for text in texts if said(text) == "noncontrast"} == {}
    assert [text for text in texts if said(text) != "contrast"] == []


@pytest.mark.parametrize("tongue", TONGUES.values(), ids=TONGUES)
def test_with_and_without_says_nothing(tongue: Tongue) -> None:
    """In either order, joined or not, with one agent or with two."""
    with_, agent = tongue.given[0], tongue.agents[0]
    for without in tongue.before[:1]:
        for text in (
            f"{tongue.region} {with_} and {without} {agent}",
            f"{tongue.region} {without} / {with_} {agent}",
            f"{tongue.region} {without} {agent}, {with_} {agent}",
            f"{with_} {agent} {tongue.region} {without} {agent}",
        ):
            assert said(text) == "", text


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        # conventions that stay
        ("CT ABD W & W/O", ""), ("ABD W_WO", ""), ("W/WO", ""), ("WWO", ""), ("C+C-", ""),
        ("ABD/PEL WITHOUT AND WITH", ""), ("C+ chest", "contrast"), ("C- chest", "noncontrast"),
        ("chest +C", "contrast"), ("chest -C", "noncontrast"), ("POST -CONTRAST", "contrast"),
        ("Contrast - OMNI", "contrast"), ("Contrast - NONE", "noncontrast"),
        ("ABDO IV+ portal", "contrast"), ("ABDO IV(+)", "contrast"), ("Abdomen +KM", "contrast"),
        ("Oral & IV", "contrast"), ("PO and IV contrast", "contrast"), ("CHEST WO", "noncontrast"),
        ("Abd s/c  3.0  B41s", "noncontrast"), ("ABD C/C", "contrast"), ("sC abdomen", ""),
        ("TK klatki piersiowej bez i ze wzmocnieniem kontrastowym", ""), ("KLP BEZ+CE", ""),
        ("FEGATO SMDC", "noncontrast"), ("Kopf kontrastmittelfrei", "noncontrast"),
        ("has kontraszt nélkül", "noncontrast"), ("ilman varjoainetta vatsa", "noncontrast"),
        ("tanpa kontras abdomen", "noncontrast"), ("Batin kontrastsiz", "noncontrast"),
        # what the negation governs is something else
        ("CHEST WITH CONTRAST W/O DELAYS", "contrast"), ("POST CONTRAST NO FAT SAT", "contrast"),
        ("IV contrast no oral", "contrast"), ("W/O IV W/ ORAL", "noncontrast"),
        ("contrast without motion", "contrast"), ("non-ionic contrast", "contrast"),
        ("Positive oral, no IV contrast", "noncontrast"), ("no oral contrast", ""),
        ("Abdomen with PO contrast no IV", "noncontrast"),
        ("no oral or IV contrast", "noncontrast"), ("without oral contrast", ""),
        ("ABD/PEL post oral only", ""), ("post rectal contrast", ""),
        ("No contrast allergy; given 100 ml", "contrast"), ("with no contrast", "noncontrast"),
        ("contrast with no oral", "contrast"), ("ABD W/O THIN", "noncontrast"),
        ("Head WO Bone 5mm", "noncontrast"), ("CHEST W/O, iDose (3)", "noncontrast"),
        ("LUNG W, iDose (3)", "contrast"),
        # what is no agent
        ("with thin cuts", ""), ("with dental MAR", ""), ("W/MAR", ""), ("with coronals", ""),
        ("w sagittal recon", ""), ("with iDose", ""), ("knee SIN 3.0", ""), ("no padding", ""),
    ],
)  # fmt: skip
def test_scope_ends_where_something_else_is_governed(description: str, expected: str) -> None:
    """A technique, an oral agent, another preposition; and the forms with signs."""
    assert said(description) == expected


@pytest.mark.parametrize(
    "description",
    [
        "POST FOSSA", "POST-FOSSA THIN", "post fossa bone", "POST MORTEM HEAD", "post-mortem CT",
        "POST PRONE", "Post. oblique recon", "post lumbar puncture", "post drain",
        "post chest tube",
        "POST TRAUMA", "post stroke", "post EVAR", "post partum", "post cystectomy", "post cath",
        "POST VOID PELVIS", "L-SPINE POST MYELO", "post arthrogram", "post liver transplant",
        "post brain radiation", "post processing", "post menopausal", "post CABG", "post Whipple",
        "Level IV neck", "Stage IV tumor thorax", "Type IV fracture", "segment IV liver",
        "IV drug user", "grade IV glioma", "IV ventricle", "tumor 3 cm liver", "5 CM", "CM 5",
        "2.5 cm nodule", "Portal hypertension", "arterial blood gas", "arterial line", "ART hip",
        "venous access", "delayed union", "SAFIRE enhanced recon", "edge enhanced lung",
        "Image enhancement filter", "Enhanced CT ac", "KUB Delay", "contrast allergy",
        "contrast resolution", "AiCE 5.0",
    ],
)  # fmt: skip
def test_words_that_mean_something_else_say_nothing(description: str) -> None:
    """Posterior, after death, after surgery, a Roman number, a length, an artery."""
    assert said(description) == ""


@pytest.mark.parametrize(
    "description",
    [
        "fMRI Multiphase", "ASL perfusion", "3D pCASL perfusion", "perfusion ASL",
        "BOLD fMRI dynamic",
        "cine multiphase", "cardiac cine multi phase", "dynamic TMJ", "dynamic defecography",
        "dynamic swallow", "IVIM perfusion", "arterial spin labeling", "2D TOF venous",
        "TOF arterial", "PC venous", "SWI venous", "phase contrast", "CSF flow dynamic",
        "POST PRONE", "post biopsy", "fetal dynamic", "dynamic airway",
    ],
)  # fmt: skip
def test_mr_that_moves_without_an_agent_says_nothing(description: str) -> None:
    """Labelled blood, function and motion are dynamic, too."""
    assert said(description, "MR") == ""


@pytest.mark.parametrize(
    "description",
    [
        "AX T1 POST", "T1 POST GAD", "COR T1 FS POST 3mm", "ax dyn 2nd pass", "DCE",
        "ax T1 vibe post left", "t1_fl3d_tra fs_dyn CM", "DSC perfusion", "ep2d_perf BOLUS",
        "AX Sen Vibrant MultiPhase", "T1 TSE tra gd+", "T1 tra nach KM", "T1 SENSE post",
        "T1 POST LUMBAR", "Ax LAVA arterial", "T1 post no FS",
        "t1 axial stealth-post_T : Processed",
    ],
)  # fmt: skip
def test_mr_with_an_agent_stays_so(description: str) -> None:
    """Words that follow "post" without being what it is after."""
    assert said(description, "MR") == "contrast"


def test_every_word_class_knows_its_examples() -> None:
    """The table is what an administrator reads; each example plays the role of its row."""
    text = (files("radnet.labels") / "tables" / "agent.toml").read_text("utf-8")
    for row in tomllib.loads(text)["word"]:
        for example in row["example"]:
            assert row["role"] in roles_of(plain(example).split()[0]), (row["role"], example)


def test_a_long_line_is_read_to_its_end() -> None:
    """A text of nothing but governors, names and links ends, and quickly."""
    for word in ("without", "with", "contrast", "oral and", "no", "iv", "de", "minus", "and"):
        line = " ".join([word] * 300)
        found = settled(line, "CT")

        assert found is None or len(found) <= len(line), word
