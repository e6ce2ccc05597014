"""What the ledger tells of bytes, and the hash that chains its entries."""

import hashlib
import json
from dataclasses import replace

import pytest

from node.model.events import Entry

ENTRY = Entry(3, 12.5, "sent", "1.2", "1.2.3", {"to": "PACS", "about": ["é"]}, "ff" * 32, "")


def test_the_hash_of_an_entry_is_that_of_its_fields_in_order() -> None:
    """Entries of older nodes were sealed so: another way would make each of them look altered."""
    text = (
        '[3, "12.5", "sent", "1.2", "1.2.3", {"about": ["\\u00e9"], "to": "PACS"}, "'
        + "ff" * 32
        + '"]'
    )

    assert json.loads(text)[5] == ENTRY.detail
    assert ENTRY.seal() == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"number": 4},
        {"at": 12.500001},
        {"event": "parked"},
        {"study_instance_uid": "1.3"},
        {"subject": "1.2.4"},
        {"detail": {"to": "PACS"}},
        {"previous": "fe" * 32},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_is_changed_breaks_the_seal(change: dict[str, object]) -> None:
    """But for the hash itself, which is compared with it."""
    assert replace(ENTRY, **change).seal() != ENTRY.seal()  # type: ignore[arg-type]
    assert replace(ENTRY, sha256="00" * 32).seal() == ENTRY.seal()


def test_the_order_of_particulars_changes_nothing() -> None:
    """Databases give JSON back in an order of their own."""
    turned = dict(reversed(ENTRY.detail.items()))

    assert list(turned) != list(ENTRY.detail)
    assert replace(ENTRY, detail=turned).seal() == ENTRY.seal()
