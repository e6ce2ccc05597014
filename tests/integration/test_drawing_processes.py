"""Phantoms that are drawn by other processes."""

import os

import pytest

from radnet.datasets.liver_cases import phantom_cases
from radnet.datasets.loading import ahead
from radnet.datasets.samples import phantom_samples


def test_nothing_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with the threads of OpenVINO once died of it."""

    def refuse() -> int:
        raise AssertionError("a process was forked")

    monkeypatch.setattr(os, "fork", refuse)
    monkeypatch.setattr("radnet.datasets.liver_cases.FEW", 0)
    monkeypatch.setattr("radnet.datasets.samples.FEW", 0)

    assert next(ahead(iter([1]))) == 1
    assert len(phantom_cases(1, 5, workers=1)) == 1
    assert len(phantom_samples(1, 5, workers=1)) == 1
