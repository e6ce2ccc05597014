"""What a viewer shows by a Hanging Protocol object, read by the letter of PS3.3 Section C.23.1."""

from pydicom import Dataset


def panes_of(protocol: Dataset, image: Dataset) -> list[str]:
    """Return the labels of the display sets that an image of the current study belongs to.

    Where the object asks for a plane, the image has it: filters are applied later.
    """
    chosen = set()
    for images in protocol.ImageSetsSequence:
        if all(_meets(selector, image) for selector in images.ImageSetSelectorSequence):
            chosen |= {
                timed.ImageSetNumber
                for timed in images.TimeBasedImageSetsSequence
                if timed.ImageSetSelectorCategory == "RELATIVE_TIME"
            }
    return [
        shown.DisplaySetLabel
        for shown in protocol.DisplaySetsSequence
        if shown.ImageSetNumber in chosen
    ]


def _meets(selector: Dataset, image: Dataset) -> bool:
    element = image.get(selector.SelectorAttribute)
    values = [] if element is None or element.is_empty else element.value
    values = [values] if isinstance(values, str) else list(values)
    if len(values) < selector.SelectorValueNumber:
        return bool(selector.ImageSetSelectorUsageFlag == "MATCH")
    allowed = selector[f"Selector{selector.SelectorAttributeVR}Value"].value
    allowed = [allowed] if isinstance(allowed, str) else list(allowed)
    return values[selector.SelectorValueNumber - 1] in allowed
