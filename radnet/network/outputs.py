"""What a classifier's outputs are, without torch: whoever serves needs no more."""

from typing import Final

from radnet.labels.vocabulary import Contrast, Plane, Sequence

HEAD_SIZES: Final = (len(Sequence), len(Plane), len(Contrast), 1)
"""Columns of the scan outputs: logits of three heads, then the logarithm of the spacing in mm."""

MR_COLUMNS: Final = slice(1, len(Sequence))
"""Of the sequence head, in the order of `MR_SEQUENCES`. Its first column, CT, takes no part: it is
neither learned nor read, and stays so that older weights keep their layout."""
