"""What Image Type and descriptions of CT call pixels that measure something else than HU.

Maps of a material or of flow, densities, stopping power, projections, renderings, of Siemens, GE,
Philips and Canon. Words for materials and for what is made of them are combined, in the
languages that scanners are set to; the name of a material alone is most often an agent.
"""

import re
from typing import Final

MATERIAL: Final = (
    r"(iodine|iod|jod|jodium|iode|[iy]odio|yodo|water|calcium|hap|hydroxyapatite|fat|iron|gold|xenon"
    r"|krypton|gadolinium|uric acid|cystine|cysteine|blood)"
)
IODINE: Final = r"([ij]od|iode|[iy]odio|yodo)"
MADE: Final = (
    r"(basis|overlay|density|densities|conc\w*|quant\w*|image|images|uptake|enhancement map"
    r"|fraction|removed|suppressed|decomposition|ventilation)"
)
AVERAGE: Final = r"(average|ave|avg|mean)"

# Image Type values: PS3.3 Sections C.8.2.1.1.1 (multi-energy) and C.8.16.1.4 (derived pixel
# contrast), and vendors'
KIND: Final = re.compile(
    r"(?:(?:CT_SOM\d+|GSI|CSA|DE|DET|DUAL_ENERGY|SPECTRAL)[ _])?(?:"
    r"MAT_SPECIFIC|MAT_FRACTIONAL|MAT_VALUE_BASED|EFF_ATOMIC_NUM|(MASS_|DIRECT_?|E_)?DENSITY"
    r"|(RELATIVE_)?ELECTRON_DENSITY|RED|Z_?EFF\w*|RHO([ _/]?\w+)?|(DIRECT_?)?SPR"
    r"|STOPPING[ _]POWER([ _]RATIO)?|MD([ _]\w+)*|(\w+[_ ])?IODINE([ _]\w+)*|EFF\w*[ _-]?Z"
    r"|WATER|CALCIUM|HAP|FAT|BASIS|VNCA|URIC[ _]?ACID\w*|(\w+[ _]?)?PBV([ _]\w+)?|GOUT|STONE"
    r"|BONE_MARROW\w*|CALC\w*[ _]SUPP\w*|CONTRAST_ENHANCED_STRUCTURES|SBI|SPECTRAL_BASE\w*"
    r"|PURE_?(LUMEN|CALCIUM)|PHOTOELECTRIC|COMPTON|K_?EDGE|XENON|KRYPTON|VENTILATION|ECV"
    r"|FAT_?FRACTION|MAXIMUM|MINIMUM|SUBTRACTION|DIVISION|MULTIPLICATION|STD_DEV\w*|VARIANCE"
    r"|ENTROPY|MASKED|QUANTITY|((CT|DYNAMIC|LUNG|LIVER)[ _])?PERFUSION\w*|(LUNG_)?SUB(TRACTED)?"
    r"|RAY_?SUM|R?CB[FV]|MTT|TTP|TTD|TTS|TMAX|FLOW|BLOOD_(FLOW|VOLUME)|PERMEABILITY|KTRANS"
    r"|(\w+_)?MAP|UMAP|DOSE|MRCAT|SYNTHETIC\w*|PROJECTION( IMAGE)?"
    r"|(\w+[_ ])?((MIN|MAX|AVE|AVG|AVERAGE|MEAN)_?IP|AIP|(MIN|MAX|THICK|THIN)?_?MIP)([_ ]\w+)?"
    r"|VRT?|3D[ _]\w+|VOLUME_?REN\w*|SURFACE_?REN\w*|3D_?REN\w*"
    r"|SSD|SCREEN[ _]?SAVE|SCREEN|CURVED\w*|CPR|OVERLAY|COLOU?R|FUSED|FUSION|RGB|REPORT"
    r")"
)
_PLACE: Final = r"( (ax\w*|cor\w*|sag\w*|tra\w*|\d.*|mm))*(?!.)"  # up to the end of the text

# Words of a description, in its plain form; "for MIP" is what one is made from
WORDS: Final = re.compile(
    r"(?<!for )(?<!no )(?<!without )(?<!for thin )(?<!for thick )\b(mips?|min ?ips?|max ?ips?"
    rf"|{AVERAGE} ?ips?|aips?|(m[ai][nx]imum|{AVERAGE}) intensity"
    r"|mittelwert ?proj\w*|proj\w* (moyenne|media|promedio)"
    r"|intensi(te|dad|ta|dade) (moyenne|media|promedio)"
    rf"|{MATERIAL} {MADE}|iodine (no )?water|{MATERIAL} (?:water|iodine|calcium|hap|fat)"
    rf"|md {MATERIAL}|(?<!.)(md )?iodine( contrast)?{_PLACE}"
    r"|[ij]od\w* ?(bild|dicht|kart|kort|kaart|uberlag|map)\w*"
    r"|joodkaart\w*"
    r"|(carte|cartographie|mapa|mappa|harta|imagen?|imagem|immagine|densi\w+) (d |de |di )?"
    rf"{IODINE}"
    r"|maps?|u ?map|mu ?map|l?pbv|perfused blood vol\w*|uric acid|ca(lcium)? ?supp\w*|vn ?ca"
    r"|pure ?(lumen|calcium)|contrast enhanced struct\w*|spectral base|sbi"
    r"|r?cb[fv]|mtt|tmax|ttp|ttd|tts|time to (peak|drain|start)|permeab\w*|k ?trans|hpi"
    r"|(blood|arterial|portal) flow|blood volume|perfusion index|ecv|extra ?cellular vol\w*"
    r"|k edge|photoelectric|compton|xenon|krypton|material (density|decomp\w*)"
    r"|(direct )?spr|stopping power|(direct|mass|electron|e) ?density|(?<!.)red(?!.)"
    r"|elektr\w*(dicht|tetthet|tathet|taethed)\w*|dens\w+ ele[ck]*t+ron\w*"
    r"|(rel )?e densit\w*|rho (e|z)|z ?eff(ective)?|eff(ective)? z|rho ?z"
    r"|subtracted|subtraction|lung sub|std dev\w*|standard deviation|variance|entropy"
    r"|mrcat|(synthetic|pseudo) ?ct"
    r"|ray ?sum|vrt|3d vr|vr colou?r\w*|curved (mpr|planar)\w*|cpr (lad|rca|lcx|cx)|straightened"
    r"|endoluminal|fly ?through|volume render\w*|colou?r overlay"
    r")\b"
)
