"""Conventions that a column of a table does not show, and the words of other languages."""

import pytest

from radnet.labels.row import TableRow, label_row, row_columns
from radnet.labels.rules import load_rules

RULES = load_rules()
LKI = "liver;kidney;intestine"
NECK = "upper_head_neck;lower_head_neck"


@pytest.mark.parametrize(
    "description",
    [
        "T2W/FE-EPI", "3D TOF MRA", "MRV", "SAG PD FS", "PDW_TSE", "COR TRUFISP",
        "FIESTA AX", "ASSET CAL", "SVS 30", "multi-flip_T1-map", "T2* GRE", "SWI", "DWI b800",
        "AX T1 LOCALIZER", "fl3d_vibe_pre_flip_2deg_PD",
    ],
)  # fmt: skip
def test_other_sequences_are_known_to_be_other(description: str) -> None:
    """Both are empty in a table, but other is a finding and unknown is left to the pixels."""
    assert label_row(TableRow("MR", description), RULES).sequence.value == "other"


@pytest.mark.parametrize("modality", ["PT", "US", "SEG"])
def test_other_modalities_are_other(modality: str) -> None:
    """The network has classes for CT and MR only."""
    assert label_row(TableRow(modality, "T1"), RULES).sequence.value == "other"


@pytest.mark.parametrize("description", ["vibe_flip_2deg", "fl3d 3 degree"])
def test_low_flip_angle_makes_a_gradient_echo_unsure(description: str) -> None:
    """Two degrees give proton density."""
    assert label_row(TableRow("MR", description), RULES).sequence.value == ""


@pytest.mark.parametrize(
    ("modality", "description", "body_part", "expected"),
    [
        ("MR", "AX T2 C SPINE", "HEAD", ""),
        ("MR", "SAG T2 LUMBAR", "PELVIS", ""),
        ("CT", "KNEE", "PELVIS", "elsewhere"),
        ("CT", "", "LSPINE", ""),
        ("CT", "", "EXTREMITY", "elsewhere"),
    ],
)
def test_limbs_are_elsewhere_and_spines_unknown_whatever_the_body_part_says(
    modality: str, description: str, body_part: str, expected: str
) -> None:
    """Limbs show none of the nine regions; beside a spine lie parts of them (issue 12)."""
    found = label_row(TableRow(modality, description, body_part), RULES)

    assert found.coverage.value == expected


def test_dixon_without_another_name_is_t1() -> None:
    """In and out of phase are gradient echoes; beside T2 or TSE the name decides."""
    assert label_row(TableRow("MR", "AX DIXON_in"), RULES).sequence.value == "T1"
    assert label_row(TableRow("MR", "AX T2 DIXON_in"), RULES).sequence.value == "T2"


@pytest.mark.parametrize(
    ("description", "column", "expected"),
    [
        ("2,OPR,GE,LSPR16,STANDARD,360,2.5,na,na,na,na", "derived", "1"),
        ("2,DPA,GE,LSPR16,STANDARD,360,2.5,na,na,na,na", "derived", "1"),
        ("2,OPR,GE,AX,STANDARD,360,2.5,na,na,na,na", "plane", ""),
        ("2,OPA,GE,LSPR16,HEAD,360,2.5,na,na,na,na", "coverage", "lung"),
        ("COR T2 _MIP_SAG", "plane", "sagittal"),
        ("SAG T1_MPR cor", "plane", "coronal"),
        ("CT SINUS", "coverage", "upper_head_neck"),
        ("CT Thx Abd", "coverage", f"lung;{LKI}"),
        ("CHABD 5.0", "coverage", f"lung;{LKI}"),
        ("TORAX ABD", "coverage", f"lung;{LKI}"),
    ],
)
def test_codes_and_combinations(description: str, column: str, expected: str) -> None:
    """NLST codes its series; a projection is named last; regions are joined."""
    assert row_columns(label_row(TableRow("CT", description), RULES))[column] == expected


def test_colon_in_mr_is_abdomen_and_pelvis() -> None:
    """As in CT."""
    found = label_row(TableRow("MR", "", "COLON"), RULES)

    assert found.coverage.value == f"{LKI};pelvis"


def test_pet_ct_is_a_whole_body_only_by_the_study() -> None:
    """A series called PET-CT says how it was made; the study says how far it reaches."""
    series = label_row(TableRow("CT", "PET-CT SERIES"), RULES)
    study = label_row(TableRow("CT", "", "", "", "PET-CT"), RULES)

    assert series.coverage.value == ""
    assert study.coverage.value == f"{NECK};lung;{LKI};pelvis"


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        # German
        ("Schädel axial nativ", ("axial", "noncontrast", "brain", "0")),
        ("Hals koronar mit KM", ("coronal", "contrast", NECK, "0")),
        ("Thorax sagittal ohne Kontrastmittel", ("sagittal", "noncontrast", "lung", "0")),
        ("Oberbauch spätarteriell", ("", "contrast", LKI, "0")),
        ("Becken venös", ("", "contrast", "pelvis", "0")),
        ("Leber portalvenös", ("", "contrast", LKI, "0")),
        ("Übersicht Becken", ("", "", "pelvis", "1")),
        # French
        ("crâne sans injection axiale", ("axial", "noncontrast", "brain", "0")),
        ("thorax avec injection coronale", ("coronal", "contrast", "lung", "0")),
        ("foie temps portal", ("", "contrast", LKI, "0")),
        ("bassin sagittale", ("sagittal", "", "pelvis", "0")),
        ("repérage cou", ("", "", NECK, "1")),
        # Spanish
        ("cráneo sin contraste axial", ("axial", "noncontrast", "brain", "0")),
        ("tórax con contraste coronal", ("coronal", "contrast", "lung", "0")),
        ("hígado fase arterial", ("", "contrast", LKI, "0")),
        ("abdomen fase venosa", ("", "contrast", LKI, "0")),
        ("cuello sagital", ("sagittal", "", NECK, "0")),
        ("localizador pelvis", ("", "", "pelvis", "1")),
        # Italian
        ("cranio senza mdc assiale", ("axial", "noncontrast", "brain", "0")),
        ("torace con mdc coronale", ("coronal", "contrast", "lung", "0")),
        ("fegato fase arteriosa", ("", "contrast", LKI, "0")),
        ("addome fase venosa", ("", "contrast", LKI, "0")),
        ("bacino sagittale", ("sagittal", "", "pelvis", "0")),
        # Dutch
        ("hersenen zonder contrast axiaal", ("axial", "noncontrast", "brain", "0")),
        ("borst met contrast coronaal", ("coronal", "contrast", "lung", "0")),
        ("lever blanco", ("", "noncontrast", LKI, "0")),
        ("buik veneus", ("", "contrast", LKI, "0")),
        ("bekken sagittaal", ("sagittal", "", "pelvis", "0")),
        # Portuguese
        ("crânio sem contraste axial", ("axial", "noncontrast", "brain", "0")),
        ("tórax com contraste coronal", ("coronal", "contrast", "lung", "0")),
        ("fígado fase portal", ("", "contrast", LKI, "0")),
        ("abdome fase tardia", ("", "contrast", LKI, "0")),
        ("pelve sagital", ("sagittal", "", "pelvis", "0")),
        # Czech
        ("mozek nativní axiální", ("axial", "noncontrast", "brain", "0")),
        ("hrudník s kontrastem koronální", ("coronal", "contrast", "lung", "0")),
        ("břicho bez KL", ("", "noncontrast", LKI, "0")),
        ("játra arteriální fáze", ("", "contrast", LKI, "0")),
        ("pánev sagitální", ("sagittal", "", "pelvis", "0")),
        ("krk žilní fáze", ("", "contrast", NECK, "0")),
    ],
)
def test_common_words_of_other_languages(
    description: str, expected: tuple[str, str, str, str]
) -> None:
    """Plane, contrast, coverage and localizer of a CT in seven languages beside English."""
    found = row_columns(label_row(TableRow("CT", description), RULES))

    assert (
        tuple(found[head] for head in ("plane", "contrast", "coverage", "localizer")) == expected
    )
