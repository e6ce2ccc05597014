"""What MNI asks to go with its atlases, and with what is computed from them."""

from typing import Final

NOTICES: Final = (
    "ICBM 152 2009: Copyright (C) 1993-2004 Louis Collins, McConnell Brain Imaging Centre, "
    "Montreal Neurological Institute, McGill University.",
    "Colin 27: Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, "
    "Montreal Neurological Institute, McGill University.",
)
