"""What the plain form of a text makes of signs, abbreviations and glued words."""

import pytest

from radnet.labels.text import plain


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # letters
        ("Thorax før kontrast", "thorax before kontrast"),
        ("Kręgosłup SZYJNY", "kregoslup szyjny"),
        ("Mędrzec Ørsted Đ \u0131", "medrzec orsted d i"),
        ("p0st contrast", "post contrast"),
        ("tl_mprage", "t1 mprage"),
        ("ti flair", "t1 flair"),
        ("til", "til"),
        # with and without
        ("w/wo", "both"),
        ("w & w/o", "both"),
        ("with/without", "both"),
        ("with and without", "both"),
        ("w/o", "without"),
        ("W.O. C", "without c"),
        ("chest w out", "chest without"),
        ("w/0 contrast", "without contrast"),
        ("wo", "without"),
        ("ax_wo_fs", "ax without fs"),
        ("AXWO", "ax without"),
        ("two", "two"),
        ("w/ contrast", "with contrast"),
        ("s/contraste", "without contraste"),
        ("u. kontrast", "without kontrast"),
        ("c/contraste", "with contraste"),
        ("m. km", "with km"),
        ("torax s.c.", "torax without c"),
        ("po podaniu", "post podaniu"),
        # signs
        ("contrast (-)", "contrast minus"),
        ("iv -", "iv minus"),
        ("iv(+)", "with iv"),
        ("km+", "with km"),
        ("km- thorax", "km minus thorax"),
        ("t1 -km", "t1 minus km"),
        ("spgr -gad", "spgr dash gad"),
        ("t1 +c", "t1 cplus"),
        ("c+", "cplus"),
        ("t1 + gd", "t1 plus gd"),
        ("c- abdomen", "cminus abdomen"),
        ("t2*", "t2star"),
        ("t2w *", "t2star"),
        ("head & neck", "head and neck"),
        ("abd, i dose (2)", "abd"),
        # numbers and units
        ("t 1", "t1"),
        ("t2 w", "t2w"),
        ("2dyn", "2 dyn"),
        ("10ccgad", "10cc gad"),
        # glued words
        ("AXIALT2FLAIR", "axial t2 flair"),
        ("sagStir", "sag stir"),
        ("3Dcor", "3d cor"),
        ("chestcor", "chest cor"),
        ("abdsag", "abd sag"),
        ("t1post", "t1 post"),
        ("t2fse", "t2 fse"),
        ("livepost", "live post"),
        ("postgad", "post gad"),
        ("preCM", "pre cm"),
        ("ax5", "ax 5"),
        ("STIRtoPET", "stir to pet"),
        ("PreContrast", "pre contrast"),
        ("MRIs Brain", "mris brain"),
        ("CTAbdomen", "ct abdomen"),
        ("PETs CT", "pets ct"),
        ("DWItoADC", "dwi to adc"),
        # spaces
        ("  a -- b__c  ", "a b c"),
        ("***", ""),
    ],
)
def test_a_text_becomes_words(text: str, words: str) -> None:
    """Each line one habit of those who name series."""
    assert plain(text) == words


def test_only_the_first_thousand_letters_are_read() -> None:
    """A description is longer by mistake, or on purpose."""
    assert plain("a" * 1024 + " b") == "a" * 1024
    assert plain("a" * 1022 + " b") == "a" * 1022 + " b"
