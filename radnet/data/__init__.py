"""Data to train on and to show: phantoms and manifests."""
