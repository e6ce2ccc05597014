"""What to learn from and to measure on: manifests, scans, samples, patches and masks."""
