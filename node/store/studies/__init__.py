"""Studies, series, instances: what came in, what was found about it, what was made of it."""
