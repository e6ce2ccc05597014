"""Each finding says which weights spoke for it."""

from node.classify.weights import with_weights
from node.model.records import Finding

WEIGHTS = "a" * 64


def test_pixels_and_what_is_fused_of_them_name_the_weights() -> None:
    """A head that the header alone spoke for does not."""
    found = [
        Finding("plane", "axial", 0.9, "fused"),
        Finding("plane", "axial", 0.9, "header"),
        Finding("plane", "axial", 0.9, "pixels"),
        Finding("localizer", "0", 1.0, "fused"),
        Finding("coverage_unknown", [], 0.9, "fused"),
        Finding("remarks", ["x"], 1.0, "header"),
    ]

    named = with_weights(found, WEIGHTS)

    assert [one.model_sha256 for one in named] == [WEIGHTS, "", WEIGHTS, "", WEIGHTS, ""]


def test_without_pixels_no_weights_spoke() -> None:
    """The series made no volume; the network was never asked."""
    found = [Finding("plane", "axial", 0.9, "fused"), Finding("disagreement", [], 1.0, "fused")]

    assert with_weights(found, WEIGHTS) == found
