"""What a classifier's outputs are, without torch: whoever serves needs no more."""

from typing import Final

from radnet.labels.vocabulary import Contrast, Plane, Sequence

HEAD_SIZES: Final = (len(Sequence), len(Plane), len(Contrast), 1)
"""Columns of the scan outputs: logits of three heads, then the logarithm of the spacing in mm."""
