"""The long form, `make soak ASSOCIATIONS=n`."""

import sys
import tempfile
from pathlib import Path

from tests.acceptance.soak import campaign
from tests.node_process import MIB, running_receiver_process


def main(associations: int) -> int:
    """Open the associations, print the figures; return 1 where something has grown."""
    with (
        tempfile.TemporaryDirectory(prefix="radsoak") as name,
        running_receiver_process(Path(name), receive=campaign.SETTINGS) as receiver,
    ):

        def show(figures: campaign.Figures) -> None:
            print(f"\r{figures.kinds.total()} associations", end="", flush=True)

        figures = campaign.run(receiver, associations, show)
        print(f"\n{figures.told()}")
        try:
            campaign.judged(receiver, figures, 64 * MIB)
        except AssertionError as error:
            print(f"BROKEN: {error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
