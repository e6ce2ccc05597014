"""The long form, `make fuzz MINUTES=m SEED=s`: other cases for as long as is wanted."""

import sys
import tempfile
import time
from pathlib import Path

from tests.acceptance.fuzz import campaign
from tests.node_process import running_receiver_process


def main(minutes: float, seed: int) -> int:
    """Hold conversations until the time is up, print the figures; return 1 for a defect."""
    until = time.monotonic() + 60 * minutes
    with (
        tempfile.TemporaryDirectory(prefix="radfuzz") as name,
        running_receiver_process(Path(name), receive=campaign.SETTINGS) as receiver,
    ):

        def show(score: campaign.Score) -> None:
            done, kept = score.cases.total(), len(score.acknowledged)
            print(f"\r{done} cases, {kept} instances acknowledged", end="", flush=True)

        try:
            score, base = campaign.run(receiver, seed, lambda _: time.monotonic() < until, show)
        except AssertionError as error:
            print(f"\nBROKEN: {error}")
            return 1
        print(f"\n{score.told(receiver, base)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2])))
