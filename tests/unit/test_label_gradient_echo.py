"""T1 gradient echoes with an inversion: their timing looks like a T1-FLAIR but for the flip angle.

A spin echo needs an excitation of about 90 degrees; what is inverted, read out at 2 to 12 ms and
flipped by 30 degrees or less is MPRAGE or one of its kin, whatever its vendor writes into
Scanning Sequence (0018,0020): GE writes RM (research mode) where others write GR.
"""

import pytest
from pydicom.dataset import Dataset

from radnet.labels.header import read_header, text_of
from radnet.labels.row import TableRow, label_row
from radnet.labels.rules import load_rules

RULES = load_rules()


def timed(
    scanning: str, description: str = "", variant: str = "NONE", **timing: float | str
) -> Dataset:
    """Return an MR header; timing by its short names, in ms and degrees."""
    ds = Dataset()
    ds.Modality = "MR"
    ds.ScanningSequence = scanning.split()
    ds.SequenceVariant = variant.split()
    ds.SeriesDescription = description
    names = {
        "TR": "RepetitionTime", "TE": "EchoTime", "TI": "InversionTime", "FA": "FlipAngle",
        "ETL": "EchoTrainLength", "name": "SequenceName",
    }  # fmt: skip
    for short, value in timing.items():
        setattr(ds, names[short], value)
    return ds


@pytest.mark.parametrize(
    "ds",
    [
        timed("RM IR", TR=2217.66, TE=3.172, TI=1000, FA=8),
        timed("RM IR", "3D Ax T1 MP-RAGE_R22", TR=2217.66, TE=3.172, TI=1000, FA=8),
        timed("RM IR", "3D Ax BRAVO", TR=2200, TE=3.1, TI=1000, FA=8),
        timed("RM", "Sag BRAVO", TR=8.2, TE=3.2, TI=450, FA=12),
        timed("RM", TR=8.2, TE=3.2, TI=450, FA=12),
        timed("RM", TR=8.2, TE=3.2, FA=12),
        timed("GR", "FSPGR BRAVO", TR=8.2, TE=3.2, TI=450, FA=12),
        timed("GR IR", "Structural", "SK SP MP", TR=2300, TE=2.98, TI=900, FA=9),
        timed("GR IR", "MEMPRAGE", "SK SP MP", TR=2530, TE=1.69, TI=1100, FA=7),
        timed("IR GR", "Anat", TR=1900, TE=2.5, TI=900, FA=9),
        timed("IR GR", "t1_tfl3d", TR=1900, TE=2.5, TI=900, FA=9, name="*tfl3d1_16ns"),
        timed("IR", TR=2200, TE=3, TI=900, FA=8),
        timed("IR", TR=2200, TE=3, FA=8),
        timed("GR IR", "IR-FSPGR", TR=9.5, TE=3.9, TI=300, FA=13),
        timed("GR IR", "", TR=9.5, TE=3.9, FA=13),
        timed("GR", "3D TFE sag", "MP", TR=8.1, TE=3.7, TI=1010, FA=8),
        timed("GR IR", "MP2RAGE_INV1", "SK SP MP", TR=5000, TE=2.98, TI=700, FA=4),
        timed("GR IR", "", "SK SP MP", TR=5000, TE=2.98, TI=700, FA=4),
        timed("", TR=2300, TE=2.98, TI=900, FA=9),
    ],
    ids=lambda ds: f"{text_of(ds, 'ScanningSequence')} {ds.SeriesDescription}",
)
def test_inverted_gradient_echo_is_t1(ds: Dataset) -> None:
    """By timing alone, and never against its name."""
    assert read_header([ds]).sequence.value == "T1"


@pytest.mark.parametrize(
    ("ds", "expected"),
    [
        (timed("SE IR", TR=2200, TE=20, TI=860, FA=90), "T1-FLAIR"),
        (timed("SE IR", TR=2200, TE=20, TI=860, FA=150), "T1-FLAIR"),
        (timed("SE IR", TR=2200, TE=20, TI=860), "T1-FLAIR"),
        (timed("RM IR", TR=2200, TE=20, TI=860, FA=111), "T1-FLAIR"),
        (timed("SE IR", "COR T1 FLAIR", TR=2200, TE=20, TI=860, FA=90), "T1-FLAIR"),
        (timed("SE IR", TR=4000, TE=60, TI=150, FA=150), "STIR"),
        (timed("SE IR", TR=4000, TE=60, TI=150), "STIR"),
        (timed("RM IR", TR=5200, TE=48, TI=160, FA=111), "STIR"),
        (timed("SE IR", TR=9000, TE=120, TI=2400, FA=150), "T2-FLAIR"),
        (timed("SE IR", "CUBE FLAIR", TR=6500, TE=110, TI=1800, FA=90), "T2-FLAIR"),
        (timed("SE IR", "VISTA FLAIR", TR=4800, TE=340, TI=1650, FA=40), "T2-FLAIR"),
        (timed("SE", "SPACE T1 post", "SK SP", TR=600, TE=11, FA=120), "T1"),
        (timed("SE", "SPACE", "SK SP OSP", TR=3200, TE=408, FA=120), "T2"),
        (timed("SE", "Sag CUBE", "SK SS", TR=2500, TE=90, FA=90), "T2"),
        (timed("SE", "Sag CUBE", "SK SS", TR=600, TE=14, FA=90), "T1"),
        (timed("GR", "", "SP", TR=5, TE=2, FA=3), "other"),
        (timed("GR", "", "SS SK", TR=4, TE=2, FA=60), "other"),
        (timed("EP RM", TR=6000, TE=80, FA=90), "other"),
        (timed("EP GR", TR=2000, TE=30, FA=8), "other"),
        (timed("RM", TR=30, TE=22, FA=15), "other"),
    ],
)
def test_spin_echoes_keep_what_their_timing_says(ds: Dataset, expected: str) -> None:
    """T1-FLAIR, STIR, T2-FLAIR and 3D spin echoes (SPACE, CUBE, VISTA) flip by more."""
    assert read_header([ds]).sequence.value == expected


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("MPRAGE", "T1"), ("MP-RAGE", "T1"), ("MP RAGE", "T1"), ("MEMPRAGE", "T1"),
        ("ME-MPRAGE RMS", "T1"), ("t1_mprage_sag", "T1"), ("MP2RAGE_UNI", "T1"),
        ("BRAVO", "T1"), ("FSPGR BRAVO", "T1"), ("IR-FSPGR", "T1"), ("IRFSPGR 3D", "T1"),
        ("3D IR SPGR", "T1"), ("TFL", "T1"), ("TFL3D sag", "T1"), ("tfl3d1_16ns", "T1"),
        ("3D TFE", "T1"), ("3D TFE sag", "T1"), ("sag 3DTFE", "T1"), ("T1W_3D_TFE", "T1"),
        ("3D MDEFT", "T1"), ("sag TFE", "T1"), ("B-TFE", "other"),
        ("BTFE cine", "other"), ("3D T2 TFE", "T2"),
        ("T1 SPACE", "T1"), ("T2 SPACE", "T2"), ("SPACE", ""), ("CUBE", ""), ("T2 CUBE", "T2"),
        ("CUBE FLAIR", "T2-FLAIR"), ("T1 CUBE FLAIR", "T1-FLAIR"),
        ("SPACE dark-fluid", "T2-FLAIR"), ("T1 FLAIR", "T1-FLAIR"),
    ],
)  # fmt: skip
def test_names_of_gradient_echoes(description: str, expected: str) -> None:
    """SPACE and CUBE are spin echoes of any weighting; alone they say nothing."""
    assert label_row(TableRow("MR", description), RULES).sequence.value == expected
