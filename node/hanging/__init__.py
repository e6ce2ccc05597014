"""DICOM Hanging Protocol objects of what `orthanc/ohif` hangs, for a PACS that reads them.

References
----------
DICOM PS3.3 Sections A.44 (Hanging Protocol IOD) and C.23; PS3.17 Annex V (examples)
"""
