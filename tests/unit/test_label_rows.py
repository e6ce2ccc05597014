"""The conventions and traps of labelling by text, each held by a real description."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radnet.labels.row import TableRow, label_row, row_columns
from radnet.labels.rules import load_rules
from radnet.labels.vocabulary import Region

RULES = load_rules()
HEADS = ("sequence", "plane", "contrast", "coverage", "localizer", "derived")
INPUTS = ("modality", "series_description", "body_part", "collection")
with (Path(__file__).parent / "label_rows.csv").open(encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file))

LKI = "liver;kidney;intestine"
WHOLE = f"upper_head_neck;lower_head_neck;lung;{LKI};pelvis"


def labels(modality: str, text: str, body_part: str = "", collection: str = "") -> dict[str, str]:
    """Return the six columns of one row."""
    return row_columns(label_row(TableRow(modality, text, body_part, collection), RULES))


@pytest.mark.parametrize("row", ROWS, ids=[row["series_description"] for row in ROWS])
def test_tricky_row_is_read_as_a_careful_reader_does(row: dict[str, str]) -> None:
    """Real rows that mislead: negations, vendor names, spine levels, window names."""
    found = labels(*(row[name] for name in INPUTS))

    assert found == {head: row[head] for head in HEADS}


@pytest.mark.parametrize(
    ("description", "sequence"),
    [
        ("2D_AX_T2_FLAIR", "T2-FLAIR"),
        ("FLAIR", "T2-FLAIR"),
        ("t2_tirm_tra", "STIR"),
        ("T2* GRE", ""),
        ("AX T2 GRE", ""),
        ("SWI_Images", ""),
        ("AXL IR", "STIR"),
        ("LT IR-SPGR SAG", "T1"),
        ("T2W_SPAIR", "T2"),
        ("T1 SPIR", "T1"),
        ("ep2d_diff_3scan_trace_ADC", ""),
        ("SAG MPRAGE", "T1"),
        ("T1 MP2RAGE", "T1"),
        ("AX BRAVO", "T1"),
        ("T2 TRUFISP", "T2"),
        ("t2_ci3d_tra", "T2"),
        ("COR TRUFISP", ""),
        ("3D TOF MRA", ""),
        ("Ax VIBRANT", "T1"),
        ("AX LAVA", "T1"),
        ("eTHRIVE", "T1"),
        ("AX SSFSE", "T2"),
        ("T2 SPACE COR", "T2"),
        ("AX DUAL ECHO", "T1"),
        ("T1-axial-locator", ""),
        ("t1_mpr_sag", "T1"),
        ("Dynamic-3dfgre: SER", ""),
    ],
)
def test_mr_sequence_is_read_from_words(description: str, sequence: str) -> None:
    """What is neither T1, T2, STIR nor FLAIR is other, and empty in a table."""
    assert labels("MR", description)["sequence"] == sequence


@pytest.mark.parametrize(
    ("description", "plane"),
    [
        ("ep2d_diff_TRACEW", ""),
        ("3 Plane Scout", ""),
        ("SCOUT AP/LAT", ""),
        ("CT Atten Cor Head", ""),
        ("CORONARY CTA", ""),
        ("t1_fl3d_sag_dynaVIEWS_SUB_MIP_TRA", "axial"),
        ("AXL IR", "axial"),
        ("transversal", "axial"),
        ("CORONALE", "coronal"),
        ("axial and coronal", ""),
        ("THINS FOR CORONAL", ""),
        ("T2W_TSE_AX5MM", "axial"),
    ],
)
def test_plane_is_read_from_words_where_nothing_else_is_known(
    description: str, plane: str
) -> None:
    """A CT is never axial by default."""
    assert labels("CT", description)["plane"] == plane


@pytest.mark.parametrize(
    ("modality", "description", "contrast"),
    [
        ("CT", "CHEST W/O CONTRAST", "noncontrast"),
        ("CT", "ABD W_WO", ""),
        ("CT", "NC CHEST", "noncontrast"),
        ("CT", "thorax nativ", "noncontrast"),
        ("CT", "torax sem contraste", "noncontrast"),
        ("CT", "abdomen sans injection", "noncontrast"),
        ("CT", "Thorax ohne KM", "noncontrast"),
        ("CT", "addome senza mdc", "noncontrast"),
        ("CT", "zonder contrast", "noncontrast"),
        ("CT", "Przed kontrastem", "noncontrast"),
        ("CT", "Abdomen mit KM", "contrast"),
        ("CT", "phase portale", "contrast"),
        ("CT", "fase tardia", "contrast"),
        ("CT", "venosni faze", "contrast"),
        ("CT", "CTPA", "contrast"),
        ("CT", "CTAC", ""),
        ("CT", "POST NEPHRECTOMY", ""),
        ("CT", "PRE BX", ""),
        ("CT", "ABD ORAL CONTRAST", ""),
        ("CT", "Smart Prep Series", ""),
        ("CT", "DE_Abd_VNC", ""),
        ("MR", "ispy2 unilateral i-", "noncontrast"),
        ("MR", "uni-lateral", ""),
        ("MR", "Sagittal-3d with fat/supp.", ""),
        ("MR", "Ph1/ax 3d dyn", ""),
        ("MR", "Ph3/ax 3d dyn", "contrast"),
        ("MR", "ax dyn 2nd pass", "contrast"),
        ("MR", "AX T1 3D FS 1 PRE + 1 POST", "contrast"),
        ("MR", "DCE Pre", "noncontrast"),
        ("MR", "tfl_dyn_fast_tra", ""),
        ("MR", "twist_dyn_TT=517.2s", ""),
        ("MR", "NON CA", ""),
        ("MR", "PREAXIAL T1", "noncontrast"),
        ("MR", "SUB PRE", ""),
    ],
)
def test_contrast_is_read_with_its_negations(
    modality: str, description: str, contrast: str
) -> None:
    """Negations come before what they negate; oral agents and maps say nothing."""
    assert labels(modality, description)["contrast"] == contrast


@pytest.mark.parametrize(
    ("modality", "description", "body_part", "coverage"),
    [
        ("CT", "CHEST ABDOMEN PELVIS ROUTINE LUNG", "", f"lung;{LKI};pelvis"),
        ("CT", "ABD LUNG WINDOW", "", LKI),
        ("CT", "LUNG 1.0", "", "lung"),
        ("CT", "Prone AP Topo  0.6  T20s", "COLON", f"{LKI};pelvis"),
        ("CT", "Skull_To_Thigh", "THYROID", WHOLE),
        ("CT", "CTAC", "BREAST", WHOLE),
        ("CT", "STD", "BREAST", "lung;breast"),
        ("MR", "STD", "BREAST", "breast"),
        ("CT", "HEAD FIRST", "", ""),
        ("CT", "HEAD", "", "brain"),
        ("CT", "Hals", "", "upper_head_neck;lower_head_neck"),
        ("CT", "", "CHESTABDOMEN", f"lung;{LKI}"),
        ("CT", "", "NECKCHESTABDPELV", WHOLE),
        ("CT", "", "COLON", f"{LKI};pelvis"),
        ("CT", "", "LSPINE", ""),
        ("CT", "Torax", "", "lung"),
        ("CT", "hrudnik", "", "lung"),
        ("CT", "foie", "", LKI),
        ("CT", "jatra", "", LKI),
        ("CT", "Becken", "", "pelvis"),
        ("CT", "hersenen", "", "brain"),
        ("CT", "cerebro", "", "brain"),
        ("CT", "torace", "", "lung"),
        ("MR", "t1_fl3d_tra_gk_1mm", "", ""),
        ("MR", "KNEE AX T1", "EXTREMITY", ""),
        ("MR", "AX BLISS_GAD", "PROSTATE", "pelvis"),
    ],
)
def test_coverage_is_read_by_priority(
    modality: str, description: str, body_part: str, coverage: str
) -> None:
    """The description beats BodyPartExamined; a window or a patient position is no region."""
    assert labels(modality, description, body_part)["coverage"] == coverage


@pytest.mark.parametrize(
    ("modality", "collection", "coverage"),
    [
        ("MR", "upenn_gbm", "brain"),
        ("MR", "ispy2", "breast"),
        ("CT", "lidc_idri", "lung"),
        ("MR", "prostatex", "pelvis"),
        ("CT", "tcga_kirc", ""),
        ("CT", "acrin_flt_breast", ""),
    ],
)
def test_only_homogeneous_collections_name_a_region(
    modality: str, collection: str, coverage: str
) -> None:
    """A collection named by its tumour holds every body part."""
    assert labels(modality, "Series 1", "", collection)["coverage"] == coverage


@pytest.mark.parametrize("text", ["Br", "BR", "breast", "Breast", "BREAST L", "bre", "mamma"])
def test_breast_is_never_brain(text: str) -> None:
    """The released 3D-RADNet decodes `Br` as brain too (issue 3)."""
    for modality in ("CT", "MR"):
        for where in (TableRow(modality, text), TableRow(modality, "", text)):
            found = label_row(where, RULES)
            assert Region.BRAIN not in found.coverage.value.split(";")
            assert found.regions.get(Region.BRAIN, 0.0) < 0.5


def test_disagreement_is_told() -> None:
    """A description that says chest beside a body part that says abdomen is a conflict."""
    found = label_row(TableRow("CT", "CHEST 5 mm", "ABDOMEN"), RULES)

    assert found.coverage.value == "lung"
    assert "BodyPartExamined says liver;kidney;intestine" in found.coverage.conflicts[0]
    assert (
        found.coverage.confidence
        < label_row(TableRow("CT", "CHEST 5 mm"), RULES).coverage.confidence
    )


def test_two_texts_of_equal_worth_that_disagree_are_unknown() -> None:
    """Silence is better than a guess."""
    found = label_row(TableRow("CT", "", "BREAST", "", "PET-CT"), RULES)

    assert found.coverage.value == ""
    assert found.coverage.conflicts


@given(st.lists(st.text(max_size=300), min_size=5, max_size=5))
def test_no_row_raises(texts: list[str]) -> None:
    """A table is whatever somebody exported."""
    found = row_columns(label_row(TableRow(*texts), RULES))

    assert set(found) == set(HEADS)


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=40), st.integers(1, 400))
def test_ten_kilobyte_descriptions_are_read_in_time(part: str, times: int) -> None:
    """No expression runs away on a long text: what is read is cut, and rules are linear in it."""
    found = row_columns(label_row(TableRow("MR", part * times), RULES))

    assert set(found) == set(HEADS)
