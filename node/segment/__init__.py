"""Liver on abdominal CT: mask, segmentation, report, and the proof that they agree."""
