"""Is a series whole? DICOM does not say; here is the evidence."""
