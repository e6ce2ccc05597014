"""The long form, `make crash RUNS=n`: every point n times, at calls drawn at random.

A second argument is the seed that an earlier run printed.
"""

import logging
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.acceptance.crash.campaign import campaign, drawn, table
from tests.acceptance.crash.points import POINTS
from tests.acceptance.crash.promises import broken


def main(runs: int, seed: int) -> int:
    """Attack, print the figures and every broken promise; return 1 where there is one."""
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # it tells of every killed peer
    print(f"seed {seed}")
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="radcrash") as folder,
        campaign(Path(folder)) as attack,
    ):
        attack.carry_out(drawn(POINTS, runs, seed))
        attack.settle()
        found = broken(attack)
        print(table(attack, sum(one.startswith("lost") for one in found), started))
    for one in found:
        print(f"BROKEN: {one}")
    return 1 if found else 0


if __name__ == "__main__":
    chosen = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    sys.exit(main(int(sys.argv[1]), chosen))
