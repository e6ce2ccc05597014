"""The signal that MR makes of a tissue: three equations, times in milliseconds.

References
----------
Bernstein, King, Zhou: Handbook of MRI Pulse Sequences (2004), chapters 14 (gradient echo, spin
echo, inversion recovery) and 17 (diffusion). Ernst, Anderson: Rev Sci Instrum 37 (1966), 93-102.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def spin_echo(t1: Array, t2: Array, repeat: float, echo: float) -> Array:
    """Return the signal of a spin echo, as a share of that of the protons.

    Parameters
    ----------
    t1, t2
        Of each tissue, ms.
    repeat, echo
        TR and TE, ms.

    Returns
    -------
    array of float32
        As many as there are tissues, 0 to 1.
    """
    return np.asarray((1 - np.exp(-repeat / t1)) * np.exp(-echo / t2), np.float32)


def inversion_recovery(
    t1: Array, t2: Array, repeat: float, echo: float, inversion: float
) -> Array:
    """Return the magnitude of a spin echo after an inversion, as a share of the protons' signal.

    Parameters
    ----------
    t1, t2
        Of each tissue, ms.
    repeat, echo, inversion
        TR, TE and TI, ms.

    Returns
    -------
    array of float32
        As many as there are tissues, 0 to 1.
    """
    recovered = np.abs(1 - 2 * np.exp(-inversion / t1) + np.exp(-repeat / t1))
    return np.asarray(recovered * np.exp(-echo / t2), np.float32)


def spoiled_gradient_echo(
    t1: Array, t2_star: Array, repeat: float, echo: float, flip_degrees: float
) -> Array:
    """Return the steady state of a spoiled gradient echo, as a share of the protons' signal.

    Parameters
    ----------
    t1, t2_star
        Of each tissue, ms.
    repeat, echo
        TR and TE, ms.
    flip_degrees
        Of the excitation.

    Returns
    -------
    array of float32
        As many as there are tissues, 0 to 1.
    """
    flip, rest = np.deg2rad(flip_degrees), np.exp(-repeat / t1)
    steady = np.sin(flip) * (1 - rest) / (1 - np.cos(flip) * rest)
    return np.asarray(steady * np.exp(-echo / t2_star), np.float32)
