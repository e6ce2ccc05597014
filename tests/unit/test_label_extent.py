"""How far a scan reaches: ranges between two landmarks, pairs, and what a name implies."""

import pytest

from radnet.labels.row import TableRow, label_row
from radnet.labels.rules import load_rules
from radnet.labels.vocabulary import ELSEWHERE

RULES = load_rules()
LKI = "liver;kidney;intestine"
NECK = "upper_head_neck;lower_head_neck"
AP = f"{LKI};pelvis"
CAP = f"lung;{AP}"
WHOLE = f"{NECK};{CAP}"


def covered(modality: str, description: str, body_part: str = "", collection: str = "") -> str:
    """Return the coverage of a series by its texts."""
    return label_row(TableRow(modality, description, body_part, collection), RULES).coverage.value


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        # English
        ("neck to symphysis", WHOLE), ("CT NECK THROUGH PELVIS", WHOLE),
        ("skull base to mid thigh", WHOLE), ("SKULLBASE TO MIDTHIGH", WHOLE),
        ("base of skull to mid-thigh", WHOLE), ("Skull_To_Thigh", WHOLE), ("SKULL-THIGH", WHOLE),
        ("PET EYES TO THIGHS", WHOLE), ("vertex to toes", WHOLE), ("VERTEX-THIGH", WHOLE),
        ("orbits to thighs", WHOLE), ("head to toe", WHOLE), ("toes to head", WHOLE),
        ("Chin thru Pelvis", WHOLE), ("chin to symphysis", WHOLE),
        ("neck to diaphragm", f"{NECK};lung"), ("skull base to carina", f"{NECK};lung"),
        ("thoracic inlet to symphysis", CAP), ("apex to symphysis", CAP),
        ("lung apices to iliac crest", f"lung;{LKI}"), ("chest to pelvis", CAP),
        ("thorax through pelvis", CAP), ("shoulders to thighs", CAP),
        ("diaphragm to symphysis", AP), ("dome of liver to pubis", AP),
        ("xiphoid to ischium", AP), ("liver to symphysis", AP),
        ("I- Highest diaph to crest", LKI), ("I+ highest diagr/iliac crests", LKI),
        ("crest to symphysis", "pelvis"), ("iliac crests thru trochanters", "pelvis"),
        ("I- Top Kidney to greater Troc", "kidney;intestine;pelvis"),
        ("apex to diaphragm", "lung"), ("vertex to skull base", "brain"),
        ("skull base to thoracic inlet", NECK), ("symphysis to neck", WHOLE),
        ("NECK-PELVIS", WHOLE), ("chest - pelvis", CAP), ("lung bases to symphysis", CAP),
        ("nose to knees", WHOLE), ("dome to tuberosities", AP),
        ("clavicle to adrenals", "lung;liver;kidney"), ("Thorax/Becken", CAP),
        # German
        ("Schädelbasis bis Oberschenkel", WHOLE), ("Hals bis Symphyse", WHOLE),
        ("Zwerchfell bis Symphyse", AP), ("Scheitel bis Sohle", WHOLE),
        ("Thorax bis Becken", CAP), ("Lungenspitze bis Symphyse", CAP),
        # French
        ("base du crâne à mi-cuisse", WHOLE), ("du vertex aux pieds", WHOLE),
        ("cou jusqu'au bassin", WHOLE), ("diaphragme à symphyse", AP),
        # Spanish, Portuguese, Catalan
        ("base de cráneo hasta muslos", WHOLE), ("cuello a pelvis", WHOLE),
        ("base do crânio até coxas", WHOLE), ("diafragma hasta sínfisis", AP),
        # Italian
        ("base cranica fino a metà coscia", WHOLE), ("collo fino al bacino", WHOLE),
        ("diaframma alla sinfisi", AP),
        # Dutch, Danish, Norwegian, Swedish, Polish, Czech
        ("schedelbasis tot bovenbeen", WHOLE), ("hals tot bekken", WHOLE),
        ("kraniebasis til lår", WHOLE), ("hals till symfys", WHOLE),
        ("podstawa czaszki do uda", WHOLE), ("od krku po panev", WHOLE),
    ],
)  # fmt: skip
def test_range_covers_what_lies_between_its_landmarks(description: str, expected: str) -> None:
    """Both ends are counted where the word names a region, in either direction."""
    assert covered("CT", description) == expected
    assert covered("CT", f"{description}  5.0  B30f", "LUNG") == expected


@pytest.mark.parametrize(
    ("modality", "description", "expected"),
    [
        ("CT", "CT Atten Cor Head INF to SUP", ""),
        ("CT", "HEAD IN - INF TO SUP", ""), ("MR", "CORFSEIR JT TO JT", ""),
        ("MR", "T2 FFE ax Foramen Magnum To T1", ""), ("CT", "FEMUR TO TOES", ELSEWHERE),
        ("CT", "KNEE TO ANKLE", ELSEWHERE), ("CT", "BOTTOM TO TOP", ""),
    ],
)  # fmt: skip
def test_other_ranges_are_none(modality: str, description: str, expected: str) -> None:
    """Directions of the table, joints and levels of the spine."""
    assert covered(modality, description) == expected


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("chest/delayed panc/bla", CAP), ("PE + AB/PEL", CAP), ("PE/ABD", f"lung;{LKI}"),
        ("CAP", CAP), ("TAP", CAP), ("NCAP", WHOLE), ("N-C-A-P", WHOLE), ("NECK/CAP", WHOLE),
        ("NECK/CHEST/ABD/PEL", WHOLE), ("NECK CHEST", f"{NECK};lung"), ("CH/AB", f"lung;{LKI}"),
        ("CHEST+LIVER", f"lung;{LKI}"), ("LIVER/PELVIS", AP), ("ABD + PELVIS", AP),
        ("A&P", AP), ("C/A/P", CAP), ("T/A/P", CAP), ("CA/P", CAP),
        ("HEAD/NECK/CHEST", f"{NECK};lung"), ("BRAIN + CAP", f"brain;{CAP}"),
        ("head and CAP", f"brain;{CAP}"), ("thx/abd/pelvis", CAP), ("Hals/Thorax", f"{NECK};lung"),
        ("Hals Thorax Abdomen", f"{NECK};lung;{LKI}"), ("Thorax-Abdomen-Becken", CAP),
        ("thorax abdomen bassin", CAP), ("torax abdomen pelvis", CAP),
        ("torace addome", f"lung;{LKI}"),
        ("Thorax/Oberbauch", f"lung;{LKI}"), ("KUB", AP), ("kidneys/bladder", AP),
        ("panc/pel", AP), ("LIVER and BLADDER", AP), ("CTA CHEST/RUNOFF", "lung"),
        ("CTPA ABD PELV", CAP), ("tho-abd-bec", CAP), ("TX/ABD", f"lung;{LKI}"),
        ("abdominopelvic", AP), ("thoraco-abdo-pelvien", CAP), ("toraco-abdominal", f"lung;{LKI}"),
        ("ABD/PEL/THIGH", AP),
    ],
)  # fmt: skip
def test_pairs_are_joined(description: str, expected: str) -> None:
    """Each part of a list counts, abbreviated or not."""
    assert covered("CT", description) == expected


@pytest.mark.parametrize(
    ("modality", "description", "body_part", "expected"),
    [
        ("MR", "AXIAL FLAIR", "", "brain"), ("MR", "SAG T2 FLAIR", "", "brain"),
        ("MR", "tirm_tra_dark-fluid", "", "brain"), ("MR", "CUBE FLAIR", "", "brain"),
        ("MR", "T1 FLAIR sag", "", ""), ("MR", "FLAIR", "CSPINE", ""),
        ("MR", "FLAIR", "HEADNECK", NECK), ("MR", "T2 FLAIR liver", "", LKI),
        ("MR", "FLAIR orbits", "", "upper_head_neck"), ("CT", "FLAIR", "", ""),
        ("MR", "SurgicalNavigation_R.AXIAL T2 FLAIR", "HEADNECK", "brain"),
        ("MR", "SurgNavSys_AX T1", "", "brain"), ("MR", "T1 BRAINLAB", "", "brain"),
        ("MR", "neuronavigation T1", "", "brain"), ("CT", "Stealth Head", "", "brain"),
        ("CT", "STEALTH SINUS", "", "upper_head_neck"),
        ("CT", "sinus navigation", "", "upper_head_neck"),
        ("CT", "spine stealth", "", ""), ("CT", "surgical navigation", "", "brain"),
        ("CT", "SUPER DIMENSION NAVIGATION CHEST", "", "lung"),
        ("MR", "T2 navigated liver", "", LKI),
        ("MR", "T2 TSE navigator", "", ""), ("MR", "MPRAGE", "", ""),
        ("CT", "CTAC", "", WHOLE), ("CT", "AC CT", "", WHOLE), ("CT", "CT AC 5.0", "", WHOLE),
        ("CT", "PET AC", "", WHOLE), ("CT", "AC for PET", "", WHOLE),
        ("CT", "AC for PET", "CHEST", "lung"),
        ("CT", "CT Atten Cor Head INF to SUP", "", ""), ("CT", "CT ATTEN H&N", "", NECK),
        ("CT", "AC FB Stress Cardiac", "ABDOMEN", "lung"), ("CT", "Brain AC CT", "", "brain"),
        ("CT", "ACCT HEAD", "", "brain"), ("CT", "AC CT Brain", "", "brain"),
        ("CT", "CTAC cardiac", "", "lung"), ("MR", "Gamma knife T1", "", "brain"),
        ("CT", "medtronic navigation", "", "brain"),
    ],
)  # fmt: skip
def test_what_a_name_implies_counts_where_nothing_names_a_region(
    modality: str, description: str, body_part: str, expected: str
) -> None:
    """A FLAIR is of the brain in practice, surgical navigation too; what is named comes first."""
    assert covered(modality, description, body_part) == expected


@pytest.mark.parametrize(
    ("modality", "description", "body_part"),
    [
        ("MR", "SAG T2 C SPINE", ""), ("MR", "sag T1 cervical spine", "HEAD"),
        ("CT", "CSPINE", ""),
        ("MR", "", "CSPINE"), ("CT", "HWS sagittal", ""), ("MR", "SAG T2 C-T SPINE", ""),
        ("MR", "whole spine sag", ""), ("MR", "rachis cervical", ""),
        ("MR", "columna cervical", ""),
        ("CT", "C-SPINE", "HEADNECK"), ("MR", "cspine ax gre", ""),
        ("MR", "L SPINE", ""), ("MR", "SAG T2 LUMBAR", "PELVIS"), ("CT", "", "LSPINE"),
        ("MR", "T SPINE", "CHEST"), ("CT", "LWS", "ABDOMEN"), ("MR", "SACRUM", "PELVIS"),
        ("MR", "cervical cord", ""), ("MR", "spinal cord", "HEAD"),
    ],
)  # fmt: skip
def test_spine_is_unknown(modality: str, description: str, body_part: str) -> None:
    """Face, lungs or kidneys lie beside it: "none of the nine" would be a false truth."""
    label = label_row(TableRow(modality, description, body_part), RULES)

    assert label.coverage.value == ""
    assert not any(probability > 0.8 for probability in label.regions.values())


@pytest.mark.parametrize("description", ["KNEE", "THIGH AX T1", "hand", "FOOT STIR"])
def test_limbs_are_elsewhere(description: str) -> None:
    """No part of the nine regions is in the picture."""
    assert covered("MR", description) == ELSEWHERE
