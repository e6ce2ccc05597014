"""Series of images to volumes: values in HU, positions in patient millimetres."""
