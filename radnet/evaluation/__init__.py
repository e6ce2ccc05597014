"""What networks are worth on scans that were left out: figures, calibration, reports."""
