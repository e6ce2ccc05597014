"""Folders in LiTS layout: a patient stands on one side, and stays there whatever is added."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radnet.datasets.fingerprint import fingerprint
from radnet.datasets.lits import SPLIT, SideOfVolume, decided, lits_volumes
from radnet.errors import DataError


def add(folder: Path, *numbers: int) -> Path:
    """Write files of the names of volumes; nothing reads them here."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        for part in ("volume", "segmentation"):
            (folder / f"{part}-{number}.nii.gz").write_bytes(b"")
    return folder


def sides(folder: Path) -> dict[str, str]:
    """Return the side of each volume by its number."""
    return {one.ct.name.split("-")[1].split(".")[0]: one.side for one in lits_volumes(folder)}


def test_the_patients_of_a_large_set_are_dealt_by_hash(tmp_path: Path) -> None:
    """About a quarter is held out, as many as of LiTS' 131; no file is needed to say whom."""
    found = sides(add(tmp_path, *range(131)))

    assert sum(side == "test" for side in found.values()) == 35
    assert sorted(int(one) for one in found if found[one] == "test")[:5] == [3, 7, 9, 17, 20]


@given(st.permutations(range(12)), st.lists(st.integers(1, 11), min_size=1, max_size=3))
def test_no_patient_moves_whatever_is_added_in_any_order(
    order: list[int], cuts: list[int]
) -> None:
    """The fourth file of a folder was held out: another one before it moved all behind it."""
    frozen: dict[str, SideOfVolume] = {}
    for count in (*sorted({max(2, cut) for cut in cuts}), 12):
        before = frozen
        frozen = decided([f"volume-{number}" for number in order[:count]], frozen)
        assert {name: frozen[name] for name in before} == before
        assert {one.side for one in frozen.values()} == {"train", "test"}


def test_a_side_is_kept_beside_the_volumes(tmp_path: Path) -> None:
    """Of two volumes no hash holds one out: it is chosen once, and stays so among many."""
    first = sides(add(tmp_path, 0, 1))
    assert first == {"0": "train", "1": "test"}
    assert (tmp_path / SPLIT).read_text(encoding="utf-8") == (
        "volume,patient,side\nvolume-0,0,train\nvolume-1,1,test\n"
    )

    more = sides(add(tmp_path, *range(2, 9)))

    assert {number: more[number] for number in first} == first
    assert [number for number in more if more[number] == "test"] == ["1", "3", "7"]
    (tmp_path / "volume-1.nii.gz").unlink()
    assert sides(tmp_path) == {number: side for number, side in more.items() if number != "1"}
    assert sides(add(tmp_path, 1)) == more


def test_a_patient_of_two_volumes_stands_on_one_side(tmp_path: Path) -> None:
    """Who knows that two volumes are of one patient says so in the file."""
    add(tmp_path, 0, 1)
    (tmp_path / SPLIT).write_text("volume,patient,side\nvolume-0,anna,test\nvolume-1,3,train\n")

    found = lits_volumes(add(tmp_path, 3))  # whose hash would hold him out

    assert [(one.patient, one.side) for one in found] == [
        ("anna", "test"), ("3", "train"), ("3", "train"),
    ]  # fmt: skip
    assert [one.named for one in found] == ["anna", "3", ""]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("volume,side\nvolume-0,test\n", "no column patient"),
        ("volume,patient,side\nvolume-0,0,left out\n", "side 'left out'; expected train or test"),
        ("volume,patient,side\nvolume-0,a,train\nvolume-1,a,test\n", "on both sides"),
        ("volume,patient,side\nvolume-0,0,train\nvolume-1,1,train\n", "on the side test"),
    ],
)
def test_a_split_that_is_none_is_told(text: str, why: str, tmp_path: Path) -> None:
    """Nothing is dealt anew in silence."""
    add(tmp_path, 0, 1)
    (tmp_path / SPLIT).write_text(text)

    with pytest.raises(DataError, match=why):
        lits_volumes(tmp_path)

    assert (tmp_path / SPLIT).read_text() == text


def test_one_patient_cannot_stand_on_both_sides(tmp_path: Path) -> None:
    """Nothing would be left to learn from, or to be judged by."""
    with pytest.raises(DataError, match="1 patients"):
        lits_volumes(add(tmp_path, 5))


def test_a_folder_that_cannot_be_written_to_goes_by_hashes_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those never move; a side that was chosen for want of one would."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("radnet.datasets.lits.publish", refuse)

    assert sides(add(tmp_path / "many", 0, 1, 2, 3))["3"] == "test"
    with pytest.raises(DataError, match=r"volume,patient,side\nvolume-0,0,train\nvolume-1,1,test"):
        lits_volumes(add(tmp_path / "few", 0, 1))


def test_another_split_is_another_set(tmp_path: Path) -> None:
    """A training that was cut off does not go on with other patients."""
    lits_volumes(add(tmp_path, 0, 1))
    before = fingerprint(tmp_path)

    (tmp_path / SPLIT).write_text("volume,patient,side\nvolume-0,0,test\nvolume-1,1,train\n")

    assert fingerprint(tmp_path) != before
