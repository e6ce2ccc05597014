"""The service: receives, recognises, routes, segments and delivers DICOM studies."""
