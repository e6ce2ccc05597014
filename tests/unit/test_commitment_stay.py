"""How long we stay for a report: until all is answered for, and our answer has left."""

from node.commitment.ask import ReportLine, stay


class Line(ReportLine):
    """A line on which nothing is sent."""

    def __init__(self) -> None:
        self.busy = False
        self.answered = Ready()  # type: ignore[assignment]


class Ready:
    """An event that does not keep anybody waiting."""

    def wait(self, _timeout: float) -> bool:
        """Return at once."""
        return True

    def clear(self) -> None:
        """Stay as it is."""


class Association:
    """Established for so many looks; at a given look, our answer leaves."""

    def __init__(self, line: Line, looks: int, answered_at: int = -1) -> None:
        self._line = line
        self._looks = looks
        self._answered_at = answered_at
        self.count = 0

    @property
    def is_established(self) -> bool:
        """Count a look."""
        self.count += 1
        if self.count == self._answered_at:
            self._line.busy = False
        return self.count <= self._looks


def test_we_leave_when_all_is_answered_for() -> None:
    """By a report here or elsewhere."""
    line = Line()
    association = Association(line, 100)
    stay(association, line, lambda: association.count == 3, 50)  # type: ignore[arg-type]
    assert association.count == 3


def test_we_leave_when_the_time_is_over() -> None:
    """The report may come on an association of its own."""
    line = Line()
    association = Association(line, 100)
    stay(association, line, lambda: False, 5)  # type: ignore[arg-type]
    assert association.count == 6


def test_our_answer_leaves_before_we_do() -> None:
    """A release would swallow it, and the peer report again and again."""
    line = Line()
    line.busy = True
    association = Association(line, 100, answered_at=20)
    stay(association, line, lambda: True, 5)  # type: ignore[arg-type]
    assert association.count == 20


def test_a_peer_that_has_gone_is_not_waited_for() -> None:
    """Nobody is there to answer."""
    line = Line()
    line.busy = True
    association = Association(line, 4)
    stay(association, line, lambda: False, 50)  # type: ignore[arg-type]
    assert association.count == 5
