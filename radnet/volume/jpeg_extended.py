"""JPEG Extended (Process 2 and 4) with 12 bits, which pydicom decodes with a GPL library only.

GDCM decodes it as well; pydicom does not ask it to, since some early versions did not. Whether a
frame has 12 bits is asked of the frame itself, and what comes out is checked for its length.
"""

from typing import Final, cast

import gdcm
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import JPEGExtended12Bit

from radnet.volume.pixels import jpeg_precision

DECODER_DEPENDENCIES: Final = {JPEGExtended12Bit: ("gdcm>=3.0.10",)}
_NAME: Final = "radnet"
_PRECISION: Final = 12  # bits; with 8 pydicom has decoders


def is_available(uid: str) -> bool:
    """Tell whether there is a decoder for a transfer syntax; pydicom asks."""
    return uid in DECODER_DEPENDENCIES


def teach() -> None:
    """Let pydicom use the decoder, in this process; more than once does no harm."""
    decoder = get_decoder(JPEGExtended12Bit)
    if _NAME not in decoder.available_plugins:
        decoder.add_plugin(_NAME, (__name__, "decode_frame"))


def decode_frame(src: bytes, runner: DecodeRunner) -> bytes:
    """Return a decoded frame: words of 16 bits in little endian.

    Parameters
    ----------
    src : bytes
        A frame as it is encoded.
    runner
        What the data set says of it.

    Raises
    ------
    NotImplementedError
        If it has another precision than 12 bits, or words of another length.
    ValueError
        If GDCM does not decode it.
    """
    if jpeg_precision(src) != _PRECISION or runner.bits_allocated != 16:
        raise NotImplementedError("no JPEG Extended frame with 12 bits in words of 16")
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(_pixel_data(src))
    kind = gdcm.PhotometricInterpretation.GetPIType(str(runner.photometric_interpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    if runner.samples_per_pixel > 1:
        image.SetPlanarConfiguration(runner.planar_configuration)
    syntax = gdcm.TransferSyntax.GetTSType(str.__str__(JPEGExtended12Bit))
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    image.SetPixelFormat(
        gdcm.PixelFormat(
            runner.samples_per_pixel,
            runner.bits_allocated,
            _PRECISION,
            _PRECISION - 1,
            runner.pixel_representation,
        )
    )
    frame = cast("bytes", image.GetBuffer().encode("utf-8", "surrogateescape"))
    if len(frame) != runner.rows * runner.columns * runner.samples_per_pixel * 2:
        raise ValueError("GDCM decoded another number of pixels than the header tells")
    return frame


def _pixel_data(src: bytes) -> gdcm.DataElement:
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(src)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    return element
