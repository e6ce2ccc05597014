"""Pictures that scanners and work stations make of CT, by their names: no Hounsfield units.

By vendor and language; and beside them what only sounds alike and is measured as ever.
"""

from itertools import product

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage

from radnet.errors import UnusableVolumeError
from radnet.volume.quantity import refuse_other_than_hounsfield

MATERIALS = ("Iodine", "Water", "Calcium", "HAP", "Fat", "Gadolinium", "Uric acid")
DESCRIPTIONS = {
    "siemens": "DirectSPR|SPR|SPR map|Stopping Power Ratio|DirectDensity|Mass density|Rho/Z|Rho e"
    "|Lung PBV|Heart PBV|Perfused Blood Volume|LPBV|Bone marrow VNCa|PURE Lumen|PureLumen"
    "|Xenon ventilation|MTT|TTD|TTS|TTP|Time to drain|Permeability|MRCAT|Synthetic CT",
    "philips": "Iodine no Water[mg/ml]|Iodine Removed[HU*]|Contrast-Enhanced Structures[HU*]"
    "|Electron Density [%EDW]|Z Effective|Uric Acid Pair[HU*]|Spectral Base Image|SBI"
    "|Calcium Suppression Index 25[HU*]|Ave-IP(10) 0%_50%",
    "ge": "GSI MD Iodine(Water)|MD Water|MD Calcium|Eff-Z|Effective Z|Iodine contrast"
    "|Iodine contrast 5.0|Iodine|Iodine Ax|Iodine 2.5 mm",
    "canon": "Iodine map overlay|SURESubtraction|Lung Sub|Iodine uptake|ECV map|mu map|umap"
    "|Attenuation map|Noise map|Std dev|Material density|Photoelectric|Compton",
    "projections": "Average IP|AveIP|AvgIP|Avg IP|Ave_IP|AIP|AIP 4D|Mean IP|MeanIP"
    "|Average intensity projection|Mean intensity|Mittelwert-Projektion|projection moyenne"
    "|intensidad promedio",
    "tongues": "Jodbild|Joddichte|Jod-Karte|Iodkarte|Elektronendichte|image iode|carte d'iode"
    "|densité iode|densidad electrónica|densità elettronica|mappa iodio|densidad de yodo"
    "|jodium kaart|jodiumkaart|jodkort|jodkarta|harta iod|mapa de iode|elektronentetthet",
}
KINDS = (
    "SPR|STOPPING_POWER|AVERAGE_IP|AVG_IP|AIP|MEANIP|CT_SOM5 AVGIP|IODINE MAP|RED|DENSITY"
    "|DIRECT_DENSITY|DE_PBV|LUNG_PBV|GSI EFF_Z|GSI OVERLAY|BASIS|WATER|CALCIUM"
    "|HAP|FAT|RHOZ|SBI|ZEFFECTIVE|IODINE NO WATER"
    "|CALCIUM_SUPP|URIC ACID|MU_MAP|ATTENUATION_MAP|MRCAT|LUNG PERFUSION|TTD|FLOW"
    "|K_EDGE|COMPTON|XENON|ECV|FAT_FRACTION|PURE_LUMEN|ENTROPY|STD_DEV|COLOR|FUSED"
)
MEASURED = (
    "CT ABD W IODINE CONTRAST|MonoE 40keV[HU]|Mono+ 50 keV|VMI 70 keV|Virtual Non Contrast [HU]"
    "|F_0.5 blend|Abdomen average 5.0|1.0 thin for MIP|low dose red|Conventional[HU]|fat thorax"
    "|perfusion phase scan|water phantom|calcium score|Spiral|MPR ax|Liver iodine 350 mg/ml"
    "|mixed 0.6|gout protocol conventional|RENAL STONE STUDY|80 kV Br40|T3D|no MIP|brain mapping"
    "|LSPR16|post Iomeron 400 mg/ml|blood in chest"
)
HU_KINDS = (
    "AXIAL|CT_SOM5 SPI|CT_SOM7 SPI DUAL|DUAL_ENERGY|GSI MONO|VMI|AVERAGE|MPR|ADD|HELIX|VOLUME"
    "|MEAN|NONE|RESAMPLED|CSA MPR|MONOENERGETIC|FILTERED|ADDITION|VNC|REFORMATTED"
)


def measured(**values: object) -> bool:
    """Tell whether a CT image of these attributes is taken for Hounsfield units."""
    header = Dataset()
    header.SOPClassUID, header.PhotometricInterpretation = CTImageStorage, "MONOCHROME2"
    for keyword, value in values.items():
        setattr(header, keyword, value)
    try:
        refuse_other_than_hounsfield([header])
    except UnusableVolumeError:
        return False
    return True


@pytest.mark.parametrize("vendor", DESCRIPTIONS)
def test_a_derived_picture_is_known_by_its_description(vendor: str) -> None:
    """As it stands, in capitals, and behind a region."""
    texts = DESCRIPTIONS[vendor].split("|")
    whole = {"SPR", "Iodine", "Iodine Ax", "Iodine contrast", "Iodine contrast 5.0",
             "Iodine 2.5 mm"}  # fmt: skip
    texts += [f"Abdomen {text}" for text in texts if text not in whole]

    assert [text for text in texts if measured(SeriesDescription=text)] == []
    assert [text for text in texts if measured(DerivationDescription=text)] == []


def test_each_pair_of_basis_materials_is_a_map() -> None:
    """GE names the material that is shown and, in brackets, the one it was parted from."""
    texts = [
        f"{one}{gap}({other})"
        for one, other, gap in product(MATERIALS, ("Water", "Iodine", "Calcium"), ("", " "))
        if one != other
    ]
    texts += [f"{one} {made}" for one, made in product(MATERIALS, ("map", "overlay", "density"))]

    assert [text for text in texts if measured(SeriesDescription=text)] == []


def test_a_derived_picture_is_known_by_its_image_type() -> None:
    """Third value or later."""
    kinds = KINDS.split("|")

    for place in (["AXIAL"], []):
        types = {kind: ["DERIVED", "SECONDARY", *place, kind] for kind in kinds}
        assert [kind for kind, type_ in types.items() if measured(ImageType=type_)] == []


def test_what_is_measured_in_hounsfield_stays_so() -> None:
    """Monoenergetic, virtual non-contrast and averaged reconstructions, and words alike."""
    texts, kinds = MEASURED.split("|"), HU_KINDS.split("|")

    assert [text for text in texts if not measured(SeriesDescription=text)] == []
    types = {kind: ["DERIVED", "PRIMARY", "AXIAL", kind] for kind in kinds}
    assert [kind for kind, type_ in types.items() if not measured(ImageType=type_)] == []
