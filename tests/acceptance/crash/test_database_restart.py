"""Promise 2 with a database server that falls over under receiver and worker."""

import threading
from pathlib import Path

import pytest

from tests.acceptance.crash.campaign import PATIENCE_S, campaign
from tests.acceptance.crash.promises import broken
from tests.node_process import wait_for
from tests.peers import running_postgresql


@pytest.mark.slow
@pytest.mark.postgresql
def test_nothing_is_lost_when_postgresql_falls_over(tmp_path: Path) -> None:
    """Stopped as by a crash while images come, and again while they are sent; then started."""
    with running_postgresql() as server, campaign(tmp_path, server.url) as attack:
        stopped = threading.Event()

        def wait_in_the_midst() -> None:
            if len(attack.scanner.acknowledged) > 5:
                stopped.wait(60)

        attack.scanner.before_each = wait_in_the_midst
        study = attack.maker.make()
        attack.studies.append(study)
        sender = threading.Thread(
            target=attack.scanner.send, args=(study, PATIENCE_S, lambda: None)
        )
        sender.start()
        wait_for(lambda: len(attack.scanner.acknowledged) > 5, "some images")
        server.stop()
        stopped.set()
        wait_for(lambda: attack.scanner.refused > 0, "a Failure status")
        server.start()
        wait_for(lambda: len(attack.peer.held) > 5, "some deliveries")
        server.stop()
        server.start()
        sender.join()
        attack.settle()

        assert broken(attack) == []
        assert set(study.files) <= set(attack.peer.held)
