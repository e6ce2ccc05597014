"""MR of real anatomy, computed: tissue maps, the equations of MR, what scanners add."""
