"""The range between two landmarks of a line, and what is left of the line."""

import pytest

from radnet.labels.reach import LONGEST, ORDER, ranged

BODY = ";".join(ORDER[1:])


@pytest.mark.parametrize(
    ("line", "rest", "regions", "words"),
    [
        ("axial neck to symphysis 5mm", "axial 5mm", BODY, "neck to symphysis"),
        ("ct neck to the pelvis", "ct", BODY, "neck to the pelvis"),
        ("ct neck down to pelvis b30f", "ct b30f", BODY, "neck down to pelvis"),
        ("knee to vertex", "", BODY, "knee to vertex"),
        ("skull thigh pet", "pet", BODY, "skull thigh"),
        ("orbits feet", "", BODY, "orbits feet"),
        ("diagr iliac crests i", "i", "liver;kidney;intestine", "diagr iliac crests"),
        ("vertex to crest", "", ";".join(ORDER[:-1]), "vertex to crest"),
        ("vertex to chin", "vertex to chin", "", ""),
        ("chin to neck", "", "upper_head_neck;lower_head_neck", "chin to neck"),
        ("head to chest", "", ";".join(ORDER[:4]), "head to chest"),
        ("knee to pelvis", "", "pelvis", "knee to pelvis"),
        # no range: a region by name, one place twice, beside the body
        ("head to neck", "head to neck", "", ""),
        ("crest to crest", "crest to crest", "", ""),
        ("thigh to foot", "thigh to foot", "", ""),
        ("neck and pelvis", "neck and pelvis", "", ""),
        ("necks to pelvisx", "necks to pelvisx", "", ""),
        # the first that is a range
        ("crest to crest neck to pelvis", "crest to crest", BODY, "neck to pelvis"),
    ],
)
def test_a_range_is_taken_out_of_its_line(line: str, rest: str, regions: str, words: str) -> None:
    """With the words that join and precede its ends, and no other."""
    assert ranged(line) == (rest, regions, words)


def test_a_line_is_read_up_to_its_two_hundredth_letter() -> None:
    """Beyond it no range begins or ends; what else stands there stays."""
    words = "neck to pelvis"
    before = "a" * (LONGEST - len(words) - 1)

    assert LONGEST == 200
    assert ranged(f"{before} {words} axial") == (f"{before} axial", BODY, words)
    assert ranged(f"a{before} {words}") == (f"a{before} {words}", "", "")
