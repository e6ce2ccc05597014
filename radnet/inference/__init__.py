"""From a volume to a prediction or a liver mask."""
