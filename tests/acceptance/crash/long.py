"""The long form, `make crash RUNS=n`: every point n times, at calls drawn at random.

A second argument is the seed that an earlier run printed; a third, ``postgresql``, has the rows
of catalog and pipeline on a server instead of in files.
"""

import logging
import random
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from tests.acceptance.crash.campaign import campaign, drawn, table
from tests.acceptance.crash.points import POINTS
from tests.acceptance.crash.promises import broken
from tests.peers import running_postgresql


def main(runs: int, seed: int, server: bool) -> int:
    """Attack, print the figures and every broken promise; return 1 where there is one."""
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # it tells of every killed peer
    print(f"seed {seed}")
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="radcrash") as folder,
        running_postgresql() if server else nullcontext() as running,
        campaign(Path(folder), "" if running is None else running.url) as attack,
    ):
        attack.carry_out(drawn(POINTS, runs, seed))
        attack.settle()
        found = broken(attack)
        print(table(attack, sum(one.startswith("lost") for one in found), started))
    for one in found:
        print(f"BROKEN: {one}")
    return 1 if found else 0


if __name__ == "__main__":
    chosen = (
        int(sys.argv[2])
        if sys.argv[2:] and int(sys.argv[2])
        else random.SystemRandom().randrange(1 << 32)
    )
    sys.exit(main(int(sys.argv[1]), chosen, "postgresql" in sys.argv[3:]))
