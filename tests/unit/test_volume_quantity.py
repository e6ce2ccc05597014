"""What a CT header says of its values: HU is measured, anything else is recognised, no more."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, MRImageStorage

from node.classify.recognise import recognise
from node.segment.source import read_source
from radnet.errors import UnusableVolumeError
from radnet.inference.classifier import Prediction
from radnet.volume.quantity import refuse_slabs
from radnet.volume.series import read_volume
from tests.made_ct import SERIES, SHAPE, Edit, write_ct


def told(**values: object) -> Edit:
    """Return an edit that sets attributes of every slice."""

    def edit(ds: Dataset, _index: int) -> None:
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return edit


def derived(*kinds: str, **values: object) -> Edit:
    """Return an edit that gives Image Type values behind DERIVED."""
    return told(ImageType=["DERIVED", *kinds], **values)


def in_units(unit: str, rescale_type: str = "") -> Edit:
    """Return an edit that adds a Real World Value Mapping."""
    code, map_ = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = unit, "UCUM", unit
    map_.MeasurementUnitsCodeSequence = [code]
    return told(RealWorldValueMappingSequence=[map_], RescaleType=rescale_type)


def looked_up(kind: str) -> Edit:
    """Return an edit that puts a Modality LUT in the place of Rescale."""

    def edit(ds: Dataset, _index: int) -> None:
        table = Dataset()
        table.ModalityLUTType = kind
        table.LUTDescriptor = [2, 0, 16]
        table.add_new("LUTData", "OW", np.arange(2, dtype="<u2").tobytes())
        ds.ModalityLUTSequence = [table]
        del ds.RescaleSlope, ds.RescaleIntercept

    return edit


def grouped(kind: str) -> Edit:
    """Return an edit that names the unit in the shared functional groups only (PS3.3 C.7.6.16)."""

    def edit(ds: Dataset, _index: int) -> None:
        values, shared = Dataset(), Dataset()
        values.RescaleType = kind
        shared.PixelValueTransformationSequence = [values]
        ds.SharedFunctionalGroupsSequence = [shared]

    return edit


OTHER: dict[str, tuple[Edit, str]] = {
    "iodine": (told(RescaleType="MGML"), "6 of 6 images have Rescale Type MGML"),
    "electron density": (told(RescaleType="EDW"), "Rescale Type EDW"),
    "unspecified": (told(RescaleType="US"), "Rescale Type US"),
    "effective z": (told(RescaleType="Z_EFF "), "Rescale Type Z_EFF"),
    "lower case": (told(RescaleType="pct"), "Rescale Type PCT"),
    "free text": (told(RescaleType="Doe, Jane (mother)"), "Rescale Type of unusual wording"),
    "one of six": (
        lambda ds, index: setattr(ds, "RescaleType", "US" if index == 4 else "HU"),
        "1 of 6 images have Rescale Type US",
    ),
    "table": (looked_up("OD"), "Modality LUT Type OD"),
    "groups": (grouped("MGML"), "Rescale Type MGML"),
    "mapping": (in_units("mg/mL"), "Real World Value Mapping in MG/ML"),
    "palette": (told(PhotometricInterpretation="PALETTE COLOR"), "Interpretation PALETTE COLOR"),
    "mip": (derived("SECONDARY", "AXIAL", "MIP"), "Image Type value MIP"),
    "minip": (derived("SECONDARY", "AXIAL", "MINIP"), "Image Type value MINIP"),
    "min_ip": (derived("SECONDARY", "REFORMATTED", "MIN_IP"), "Image Type value MIN_IP"),
    "vendor mip": (derived("SECONDARY", "AXIAL", "CT_SOM5 MIP"), "Image Type value CT_SOM5 MIP"),
    "projection": (derived("SECONDARY", "PROJECTION IMAGE"), "Image Type value PROJECTION IMAGE"),
    "maximum": (derived("PRIMARY", "VOLUME", "MAXIMUM"), "Image Type value MAXIMUM"),
    "material": (derived("PRIMARY", "AXIAL", "MAT_SPECIFIC"), "Image Type value MAT_SPECIFIC"),
    "technique": (told(VolumeBasedCalculationTechnique="MAX_IP"), "Technique MAX_IP"),
    "words": (told(SeriesDescription="AX LUNG MIPs 10x2"), "the word 'mips' in their Series"),
    "iodine by vendor": (derived("SECONDARY", "AXIAL", "DET_IODINE"), "value DET_IODINE"),
    "basis": (told(ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "GSI MD"]), "value GSI MD"),
    "blood volume": (derived("SECONDARY", "AXIAL", "PBV"), "value PBV"),
    "rendered": (derived("SECONDARY", "AXIAL", "CSA VRT"), "value CSA VRT"),
    "without calcium": (told(SeriesDescription="Bone marrow edema VNCa"), "the word 'vn ca'"),
    "suppressed": (told(SeriesDescription="CaSupp 40"), "the word 'ca supp'"),
    "flow": (told(SeriesDescription="CBF 5.0"), "the word 'cbf'"),
    "subtracted": (told(SeriesDescription="Subtraction"), "the word 'subtraction'"),
    "Jodkarte": (told(SeriesDescription="Jodkarte Leber"), "the word 'jodkarte'"),
    "no water": (told(SeriesDescription="Iodine no Water"), "the word 'iodine no water'"),
    "map in words": (told(SeriesDescription="Iodine Map 1.5"), "the word 'iodine map'"),
}


@pytest.mark.parametrize("tolerant", [False, True], ids=["strict", "tolerant"])
@pytest.mark.parametrize(("edit", "reason"), OTHER.values(), ids=OTHER.keys())
def test_other_than_hounsfield_is_not_measured(
    edit: Edit, reason: str, tolerant: bool, tmp_path: Path
) -> None:
    """Its numbers may look like HU; only the header tells (PS3.3 C.8.2.1)."""
    with pytest.raises(UnusableVolumeError, match=reason) as refused:
        read_volume(write_ct(tmp_path, edit), tolerant=tolerant)

    assert SERIES in str(refused.value)
    assert "Doe" not in str(refused.value)


HOUNSFIELD: dict[str, Edit] = {
    "HU": told(RescaleType="HU"),
    "empty": told(RescaleType=""),
    "monoenergetic": derived("PRIMARY", "AXIAL", "VMI", RescaleType="HU_MOD"),
    "material removed": derived("PRIMARY", "AXIAL", "MAT_REMOVED", RescaleType="HU_MOD"),
    "table": looked_up("HU"),
    "groups": grouped("HU"),
    "mapping": in_units("[hnsf'U]"),
    "two units": in_units("mg/mL", rescale_type="HU"),  # a second reading of what is HU
    "inverted": told(PhotometricInterpretation="MONOCHROME1"),
    "spiral": told(ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]),
    "added": told(ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "ADD"]),
    "reformat": derived("SECONDARY", "REFORMATTED", "AVERAGE"),
    "mpr": derived("SECONDARY", "MPR", SeriesDescription="MPR axial 4.0"),
    "made for": told(SeriesDescription="1.0 thin for MIP"),
    "agent": told(SeriesDescription="CT ABD W IODINE CONTRAST", ContrastBolusAgent="IODINE"),
}


@pytest.mark.parametrize("edit", HOUNSFIELD.values(), ids=HOUNSFIELD.keys())
def test_hounsfield_units_are_measured(edit: Edit, tmp_path: Path) -> None:
    """Thin and gapless reformats are volumes as any other, and so are monoenergetic images."""
    assert read_volume(write_ct(tmp_path, edit)).shape == SHAPE


@pytest.mark.parametrize(
    ("thick", "kinds", "refused"),
    [
        (20, ("DERIVED", "SECONDARY", "AXIAL"), True),
        (1, ("DERIVED", "SECONDARY", "REFORMATTED"), True),
        (4, ("DERIVED", "SECONDARY", "REFORMATTED"), False),
        (8, ("DERIVED", "SECONDARY", "REFORMATTED"), False),
        (1, ("ORIGINAL", "PRIMARY", "AXIAL"), False),
    ],
)
def test_slabs_and_gaps_of_a_reformat_are_for_recognising_only(
    thick: float, kinds: tuple[str, ...], refused: bool, tmp_path: Path
) -> None:
    """Slices 4 mm apart, of 20 or of 1 mm: an organ is longer or shorter in them than in life."""
    paths = write_ct(tmp_path, told(ImageType=list(kinds), SliceThickness=thick))

    if refused:
        with pytest.raises(UnusableVolumeError, match=f"{thick} mm thick every 4 mm"):
            read_volume(paths)
    else:
        read_volume(paths)
    assert read_volume(paths, tolerant=True).shape == SHAPE


class Never:
    """A classifier that must not be asked."""

    digest = "ab" * 32

    def classify(self, volume: hd.Volume, modality: str) -> Prediction:
        """Fail: these pixels are no CT."""
        raise AssertionError(f"asked of {volume.shape} {modality}")


@pytest.mark.parametrize("edit", [told(RescaleType="MGML"), derived("SECONDARY", "AXIAL", "MIP")])
def test_such_a_series_is_recognised_by_its_header_and_never_segmented(
    edit: Callable[[Dataset, int], None], tmp_path: Path
) -> None:
    """The node says what it is, and why its pixels have no say; no liver is drawn in it."""
    paths = write_ct(tmp_path, edit)

    known = recognise(paths, Never(), 0.6)

    fused = {one.name: one.value for one in known.findings if one.source == "fused"}
    assert (fused["sequence"], fused["plane"]) == ("CT", "axial")
    assert "not measured" in known.unusable.reason
    with pytest.raises(UnusableVolumeError, match="not measured"):
        read_source(paths)


def test_an_enhanced_ct_says_it_in_its_functional_groups(tmp_path: Path) -> None:
    """Of any frame (PS3.3 C.8.15.3.10)."""
    path = write_ct(tmp_path, None)[0]
    ds = dcmread(path)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    frames = [Dataset(), Dataset()]
    for frame, unit in zip(frames, ("HU", "MGML"), strict=True):
        values = Dataset()
        values.RescaleType, values.RescaleSlope, values.RescaleIntercept = unit, 1, 0
        frame.PixelValueTransformationSequence = [values]
    ds.PerFrameFunctionalGroupsSequence = frames
    ds.NumberOfFrames, ds.PixelData = 2, np.zeros((2, *SHAPE[1:]), np.uint16).tobytes()
    ds.save_as(path)

    with pytest.raises(UnusableVolumeError, match="1 of 1 images have Rescale Type MGML"):
        read_volume([path])


@pytest.mark.parametrize(
    ("thick", "apart", "refused"),
    [
        (10, 5.0, False),
        (10, 4.9, True),
        (2, 4.0, False),
        (2, 4.1, True),
        (0, 9, False),
        (-1, 9, False),
        (None, 9, False),
        (0.5, 1.1, True),
        (0.5, 1.0, False),
    ],
)
def test_slices_of_a_reformat_overlap_by_five_millimetres_and_leave_gaps_of_their_thickness(
    thick: float | None, apart: float, refused: bool
) -> None:
    """At most; where no thickness is told nothing is known."""
    header = Dataset()
    header.SOPClassUID, header.SeriesInstanceUID = CTImageStorage, "1.2.3"
    header.ImageType, header.SliceThickness = ["DERIVED", "SECONDARY"], thick

    with pytest.raises(UnusableVolumeError) if refused else nullcontext():
        refuse_slabs([header], apart)
    header.SOPClassUID = MRImageStorage
    refuse_slabs([header], apart)
