"""A manifest: split by patient, capped, and sure labels alone are learned from."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import nibabel as nib
import numpy as np
import pytest

from radnet.datasets import prepared
from radnet.datasets.balance import balance
from radnet.datasets.batches import HeldSamples, batches
from radnet.datasets.manifest import ManifestOrder, make_manifest, read_table
from radnet.datasets.prepared import Archive, prepare
from radnet.datasets.seen_by_eye import UNKNOWN
from radnet.errors import DataError
from radnet.harvest.label_scan import TYPES, quoted
from radnet.inference.preparation import PREPARATION
from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence


def labelled(number: int, **told: Any) -> dict[str, Any]:
    """Return a row as `radnet labels scan` writes it: an axial CT of patient ``P<number>``."""
    return {
        "series_instance_uid": f"1.2.{number}",
        "study_instance_uid": f"1.1.{number}",
        "patient_id": f"P{number}",
        "collection": "C",
        "modality": "CT",
        "instances": 40,
        "sequence": "CT",
        "sequence_confidence": 0.99,
        "plane": "axial",
        "plane_confidence": 0.99,
        "coverage": "liver;kidney",
        "coverage_confidence": 0.95,
        "license_short_name": "CC BY 4.0",
        "source_DOI": "10.1/x",
    } | told


def table(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Write a table of labels."""
    with duckdb.connect() as db:
        columns = ", ".join(f'"{name}" {kind}' for name, kind in TYPES.items())
        db.execute(f"CREATE TABLE t ({columns})")
        for row in rows:
            marks = ", ".join("?" for _ in row)
            names = ", ".join(f'"{name}"' for name in row)
            query = f"INSERT INTO t ({names}) VALUES ({marks})"  # noqa: S608 (our own names)
            db.execute(query, list(row.values()))
        db.execute(f"COPY t TO {quoted(path)} (FORMAT parquet)")
    return path


def test_no_patient_stands_on_two_sides(tmp_path: Path) -> None:
    """Also not through another collection; the sides follow from the patient alone."""
    rows = [
        labelled(number, patient_id=f"P{number % 60}", collection="AB"[number % 7 > 3])
        for number in range(300)
    ]
    first, grown = tmp_path / "m.parquet", tmp_path / "n.parquet"

    counts = make_manifest(table(tmp_path / "l.parquet", rows), first, ManifestOrder())
    make_manifest(
        table(tmp_path / "l2.parquet", [*rows, *(labelled(n) for n in range(400, 500))]),
        grown,
        ManifestOrder(),
    )

    found = read_table(first)
    sides = {(row.patient, row.split) for row in found}
    assert len(sides) == len({row.patient for row in found}) == 60
    assert all(counts[side] > 0 for side in ("train", "validation", "test"))
    later = {row.patient: row.split for row in read_table(grown)}
    assert all(later[patient] == side for patient, side in sides)


def test_no_patient_is_named_in_a_manifest(tmp_path: Path) -> None:
    """A digest tells patients apart; their numbers stay in the table of labels."""
    out = tmp_path / "m.parquet"

    make_manifest(
        table(tmp_path / "l", [labelled(1, patient_id="MEIER^EVA")]), out, ManifestOrder()
    )

    assert b"MEIER" not in out.read_bytes()


def test_neither_a_patient_nor_a_collection_dominates(tmp_path: Path) -> None:
    """Six of a patient, of different kinds first; so many of a collection."""
    rows = [labelled(n, patient_id="P") for n in range(50)]
    rows.append(labelled(90, patient_id="P", plane="coronal"))
    rows += [labelled(100 + n, collection="big") for n in range(80)]
    out = tmp_path / "m.parquet"

    make_manifest(table(tmp_path / "l", rows), out, ManifestOrder(per_collection=30))

    found = read_table(out)
    assert Counter(row.collection for row in found) == {"C": 6, "big": 30}
    assert any(row.plane is Plane.CORONAL for row in found)


def test_only_sure_labels_are_known(tmp_path: Path) -> None:
    """An empty contrast is unknown, a doubtful sequence too; `elsewhere` is a known nothing."""
    rows = [
        labelled(1, sequence="T1", sequence_confidence=0.85, modality="MR", coverage="elsewhere"),
        labelled(2, contrast="contrast", contrast_confidence=0.95, coverage=None),
    ]
    out = tmp_path / "m.parquet"

    make_manifest(table(tmp_path / "l", rows), out, ManifestOrder())
    one, two = read_table(out)

    assert one.sequence is None
    assert (one.plane, one.contrast, one.coverage) == (Plane.AXIAL, None, frozenset())
    assert (two.sequence, two.contrast, two.coverage) == (Sequence.CT, Contrast.CONTRAST, None)
    assert (two.licence, two.doi) == ("CC BY 4.0", "10.1/x")


def test_localizers_other_modalities_and_licences_are_left_out(tmp_path: Path) -> None:
    """What is not asked for does not come in."""
    rows = [
        labelled(1),
        labelled(2, localizer="1"),
        labelled(3, modality="SR"),
        labelled(4, instances=2),
        labelled(5, license_short_name="CC BY-NC 3.0"),
    ]
    labels, out = table(tmp_path / "l", rows), tmp_path / "m.parquet"

    make_manifest(labels, out, ManifestOrder(licences=("CC BY ?.0",)))

    assert [row.series_instance_uid for row in read_table(out)] == ["1.2.1"]
    with pytest.raises(DataError, match="no series of it is left"):
        make_manifest(labels, out, ManifestOrder(licences=("CC0",)))


def test_an_empty_side_is_counted_and_refused_by_name(tmp_path: Path) -> None:
    """A share of 0 leaves a side without series: nothing may be trained or scored on it."""
    labels = table(tmp_path / "l.parquet", [labelled(number) for number in range(3)])
    out = tmp_path / "m.parquet"

    counts = make_manifest(labels, out, ManifestOrder(test=0, validation=0))

    assert counts == {"train": 3, "validation": 0, "test": 0}
    assert len(read_table(out)) == len(read_table(out, "train", "test")) == 3
    with pytest.raises(DataError, match=r"no series on the side test$"):
        read_table(out, "test")
    with pytest.raises(DataError, match=r"on the side validation or test$"):
        read_table(out, "validation", "test")


def test_every_patient_may_stand_on_the_side_of_the_test(tmp_path: Path) -> None:
    """A set that is only ever scored."""
    labels = table(tmp_path / "l.parquet", [labelled(number) for number in range(3)])
    out = tmp_path / "m.parquet"

    counts = make_manifest(labels, out, ManifestOrder(test=1, validation=0))

    assert counts == {"train": 0, "validation": 0, "test": 3}
    with pytest.raises(DataError, match=r"no series on the side train$"):
        read_table(out, "train")


def test_what_is_no_manifest_is_told(tmp_path: Path) -> None:
    """A table of labels is none yet; a word that is no label neither."""
    labels = table(tmp_path / "l.parquet", [labelled(1, plane="oblique")])
    out = tmp_path / "m.parquet"

    with pytest.raises(DataError, match="no manifest"):
        read_table(labels)
    make_manifest(labels, out, ManifestOrder())
    with pytest.raises(DataError, match="oblique"):
        read_table(out)


def scans(folder: Path, count: int) -> dict[str, list[Path]]:
    """Write small CTs as NIfTI and return series to files; the last file is no volume."""
    found = {}
    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"scan-{number}.nii.gz"
        array = rng.normal(0, 50, (40, 40, 30)).astype(np.int16)
        nib.save(nib.Nifti1Image(array, np.diag([-6.0, -6.0, 5.0, 1.0])), path)
        found[f"1.2.{number}"] = [path]
    path.write_bytes(b"no volume")
    return found


def test_an_archive_is_prepared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays and reasons are kept: a second training reads no series again."""
    files = scans(tmp_path, 4)
    out = tmp_path / "m.parquet"
    rows = [labelled(n, coverage="liver" if n else None) for n in range(5)]
    make_manifest(table(tmp_path / "l", rows), out, ManifestOrder(test=0, validation=0), files)
    manifest = read_table(out, "train")
    assert len(manifest) == 4  # of the fifth there is no file

    good, bad = prepare(manifest, tmp_path / "cache", lambda *_: None)
    monkeypatch.setattr(prepared, "read_row", lambda row: pytest.fail(row.series_instance_uid))
    again = prepare(manifest, tmp_path / "cache", lambda *_: None)

    assert (good, bad) == again
    assert [one.row.series_instance_uid for one in bad] == ["1.2.3"]
    assert "scan-3.nii.gz" in bad[0].reason
    archive = Archive(good)
    liver = list(Region).index(Region.LIVER)
    first, second = archive[0], archive[1]
    assert first.image.shape == (round(30 * 5 / 4), 96, 96)
    assert first.empty == -1.0
    assert first.spacing_mm == pytest.approx(5.0)
    assert np.all(first.scan == UNKNOWN)
    assert second.scan[liver] == 1
    assert second.contrast == UNKNOWN
    assert np.all(second.slices[:, liver] == UNKNOWN)
    assert np.all(np.delete(second.slices, liver, axis=1) == 0)
    batch = next(batches(HeldSamples([]), archive, 3, seed=0))
    assert batch.stack.shape[0] == 3


def test_series_prepared_in_another_way_are_prepared_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrays of an older preparation, in which axial scans ran from head to foot, lie there on."""
    files = scans(tmp_path, 2)
    out = tmp_path / "m.parquet"
    make_manifest(
        table(tmp_path / "l", [labelled(0)]), out, ManifestOrder(test=0, validation=0), files
    )
    rows = read_table(out, "train")
    monkeypatch.setattr(prepared, "PREPARATION", PREPARATION - 1)
    (old,), _ = prepare(rows, tmp_path / "cache", lambda *_: None)
    monkeypatch.undo()

    (new,), _ = prepare(rows, tmp_path / "cache", lambda *_: None)

    assert new.path != old.path


def test_relative_paths_follow_the_manifest(tmp_path: Path) -> None:
    """A folder with manifest and images can be moved as a whole."""
    home = tmp_path / "a"
    home.mkdir()
    files = scans(home, 2)
    make_manifest(
        table(tmp_path / "l", [labelled(0), labelled(1)]),
        home / "m.parquet",
        ManifestOrder(),
        files,
    )

    home.rename(tmp_path / "b")

    for row in read_table(tmp_path / "b" / "m.parquet"):
        assert row.files[0].is_file()


def test_a_rare_class_counts_more_within_bounds() -> None:
    """Unknown labels do not count; a class that never occurs keeps weight one."""
    truths = {
        "sequence": np.array([0] * 90 + [1] * 10 + [UNKNOWN] * 500, np.float32),
        "plane": np.array([0] * 10_000 + [2], np.float32),
        "contrast": np.array([UNKNOWN], np.float32),
        "scan": np.array([[1, *[UNKNOWN] * 8]] + [[0, *[UNKNOWN] * 8]] * 4, np.float32),
    }

    found = balance(truths)

    assert float(found.sequence[1] / found.sequence[0]) == pytest.approx(3.0)
    assert found.sequence[2:].tolist() == [1.0] * 4
    assert found.plane[2] == 3.0
    assert found.contrast.tolist() == [1.0, 1.0]
    assert float(found.covered[0]) == pytest.approx(2.0)
    assert found.covered[1] == 1.0


def test_one_patient_in_seven_is_for_the_test_and_one_in_ten_for_validation(
    tmp_path: Path,
) -> None:
    """Where nothing else is asked for: 15 and 10 % of the patients, by a hash of each."""
    out = tmp_path / "m.parquet"

    counts = make_manifest(
        table(tmp_path / "l", [labelled(n) for n in range(200)]), out, ManifestOrder()
    )

    assert sum(counts.values()) == 200
    assert counts["test"] / 200 == pytest.approx(0.15, abs=0.04)
    assert counts["validation"] / 200 == pytest.approx(0.1, abs=0.04)


@pytest.mark.parametrize(("sure", "known"), [(0.89, False), (0.9, True)])
def test_a_label_is_learned_from_once_it_is_nine_times_in_ten_right(
    sure: float, known: bool, tmp_path: Path
) -> None:
    """The bound is of the sure side."""
    out = tmp_path / "m.parquet"

    make_manifest(
        table(tmp_path / "l", [labelled(1, plane_confidence=sure)]), out, ManifestOrder()
    )

    assert (read_table(out)[0].plane is not None) is known


@pytest.mark.parametrize(("instances", "taken"), [(4, 0), (5, 1)])
def test_a_series_worth_learning_from_has_five_instances(
    instances: int, taken: int, tmp_path: Path
) -> None:
    """Fewer are a localizer, or what is left of a series."""
    rows = [labelled(1), labelled(2, instances=instances)]
    out = tmp_path / "m.parquet"

    make_manifest(table(tmp_path / "l", rows), out, ManifestOrder())

    assert len(read_table(out)) == 1 + taken


def test_a_manifest_may_be_made_before_its_files_are_at_hand(tmp_path: Path) -> None:
    """`radnet fetch idc --manifest` gets them; with files, a series without any is left out."""
    labels, out = table(tmp_path / "l", [labelled(1), labelled(2)]), tmp_path / "m.parquet"

    counts = make_manifest(labels, out, ManifestOrder(test=0, validation=0))
    rows = read_table(out)

    assert counts == {"train": 2, "validation": 0, "test": 0}
    assert [(row.series_instance_uid, row.files, row.mask) for row in rows] == [
        ("1.2.1", (), None),
        ("1.2.2", (), None),
    ]
    with pytest.raises(DataError, match="no series of it is left"):
        make_manifest(labels, out, ManifestOrder(), {})
    assert list(tmp_path.glob("*.partial")) == []


def test_files_and_masks_stand_below_the_manifest_where_they_lie(tmp_path: Path) -> None:
    """Relative there, as they are elsewhere; a series may have no mask."""
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    labels, out = table(tmp_path / "l", [labelled(1), labelled(2)]), home / "m.parquet"
    files = {"1.2.1": [home / "a" / "1.dcm", home / "a" / "2.dcm"], "1.2.2": [away / "3.dcm"]}

    make_manifest(labels, out, ManifestOrder(), files, {"1.2.1": home / "mask.nii"})

    one, two = read_table(out)
    assert one.files == tuple(files["1.2.1"])
    assert (one.mask, two.mask) == (home / "mask.nii", None)
    assert two.files == (away.resolve() / "3.dcm",)
    with duckdb.connect() as db:
        kept = db.execute("SELECT files, mask FROM read_parquet(?)", [str(out)]).fetchall()
    assert (["a/1.dcm", "a/2.dcm"], "mask.nii") in kept


def test_a_patient_is_told_by_the_study_where_nobody_has_a_number(tmp_path: Path) -> None:
    """Two studies without a number are two patients, two series of one study one."""
    rows = [
        labelled(1, patient_id=""),
        labelled(2, patient_id=None),
        labelled(3, patient_id="", study_instance_uid="1.1.1"),
    ]
    out = tmp_path / "m.parquet"

    make_manifest(table(tmp_path / "l", rows), out, ManifestOrder())
    one, two, three = read_table(out)

    assert one.patient == three.patient != two.patient
    assert len(one.patient) == 16
    assert one.split == three.split


def test_what_belongs_to_no_collection_is_not_capped(tmp_path: Path) -> None:
    """Nor is anything where 0 is asked for."""
    rows = [labelled(n, collection="" if n % 2 else "C") for n in range(8)]
    labels, out = table(tmp_path / "l", rows), tmp_path / "m.parquet"

    make_manifest(labels, out, ManifestOrder(per_collection=1))
    assert Counter(row.collection for row in read_table(out)) == {"": 4, "C": 1}
    make_manifest(labels, out, ManifestOrder(per_collection=0))
    assert Counter(row.collection for row in read_table(out)) == {"": 4, "C": 4}


def test_another_seed_draws_other_sides(tmp_path: Path) -> None:
    """And the same seed the same."""
    labels = table(tmp_path / "l", [labelled(n) for n in range(40)])
    sides = []
    for number, seed in enumerate((0, 0, 1)):
        out = tmp_path / f"{number}.parquet"
        make_manifest(labels, out, ManifestOrder(seed=seed, test=0.5))
        sides.append([row.split for row in read_table(out)])

    assert sides[0] == sides[1] != sides[2]


def test_a_manifest_needs_its_columns_but_not_all_of_them(tmp_path: Path) -> None:
    """Who made it, its mask and its licence may be missing; what is learned may not."""
    out, less, broken = (tmp_path / f"{name}.parquet" for name in ("m", "less", "broken"))
    make_manifest(table(tmp_path / "l", [labelled(1, manufacturer="GE")]), out, ManifestOrder())
    with duckdb.connect() as db:
        for path, left_out in (
            (less, 'manufacturer, mask, license_short_name, "source_DOI"'),
            (broken, "plane_known, contrast"),
        ):
            db.execute(
                f"COPY (SELECT * EXCLUDE ({left_out}) FROM read_parquet({quoted(out)})) "  # noqa: S608
                f"TO {quoted(path)} (FORMAT parquet)"
            )

    (full,), (bare,) = read_table(out), read_table(less)

    assert full.manufacturer == "GE"
    assert (bare.manufacturer, bare.mask, bare.licence, bare.doi) == ("", None, "", "")
    assert (bare.plane, bare.split) == (full.plane, full.split)
    with pytest.raises(DataError, match=r"no column contrast, plane_known$"):
        read_table(broken)


def test_licences_are_patterns_of_which_one_is_enough(tmp_path: Path) -> None:
    """What tells none fits none but the pattern of everything."""
    rows = [
        labelled(1),
        labelled(2, license_short_name="CC0"),
        labelled(3, license_short_name=None),
    ]
    labels, out = table(tmp_path / "l", rows), tmp_path / "m.parquet"

    for patterns, expected in (
        (("CC BY *", "CC0"), ["1.2.1", "1.2.2"]),
        (("CC0",), ["1.2.2"]),
        ((), ["1.2.1", "1.2.2", "1.2.3"]),
    ):
        make_manifest(labels, out, ManifestOrder(licences=patterns))
        assert [row.series_instance_uid for row in read_table(out)] == expected
