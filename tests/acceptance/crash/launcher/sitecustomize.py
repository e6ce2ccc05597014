"""Kills a node's process at a numbered point; loaded by Python itself when it is on its path.

The folder in ``RADNET_CRASH`` holds a file for each role: which point, at the how manieth call,
and whether the whole process group dies. The process that gets there renames the file and kills
itself with SIGKILL, so that one order kills once.
"""

import functools
import importlib.abc
import importlib.machinery
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.acceptance.crash.points import POINTS, Point

FOLDER = Path(os.environ["RADNET_CRASH"])


class Orders:
    """What the harness wants killed, read anew at every call."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counts: Counter[str] = Counter()

    def reached(self, point: Point) -> None:
        """Die here if that is the order."""
        if point.role not in sys.argv:
            return
        order = self._folder / f"order-{point.role}"
        try:
            text = order.read_text(encoding="ascii")
        except FileNotFoundError:
            return
        _serial, number, call, scope = text.split()
        if int(number) != point.number:
            return
        self._counts[text] += 1
        if self._counts[text] < int(call):
            return
        try:
            order.rename(order.with_suffix(".done"))
        except FileNotFoundError:
            return  # another thread was here first
        if scope == "node":
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


ORDERS = Orders(FOLDER)


class Wrapping(importlib.abc.MetaPathFinder):
    """Lets the other finders find a module, and wraps what it defines once it is run."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._modules = {point.target.partition(":")[0] for point in points} | {"node.worker"}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a module that holds points."""
        if fullname not in self._modules:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                run = spec.loader.exec_module
                spec.loader.exec_module = functools.partial(run_and_wrap, run)  # type: ignore[method-assign]
                return spec
        return None


def run_and_wrap(run: Callable[[ModuleType], None], module: ModuleType) -> None:
    """Run a module, then wrap its points; a name that is gone is a defect of the harness."""
    run(module)
    if module.__name__ == "node.worker":
        vars(module)["RETAIN_S"] = 1.0  # ten minutes are too long for a test
    for point in POINTS:
        name, _, attribute = point.target.partition(":")
        if name == module.__name__:
            holder: Any = module
            *outer, last = attribute.split(".")
            for part in outer:
                holder = getattr(holder, part)
            setattr(holder, last, wrapped(getattr(holder, last), point))


def wrapped(function: Callable[..., Any], point: Point) -> Callable[..., Any]:
    """Return the function with a point before or after it."""

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        if point.side == "before":
            ORDERS.reached(point)
        result = function(*arguments, **named)
        if point.side == "after":
            ORDERS.reached(point)
        return result

    return call


sys.meta_path.insert(0, Wrapping(POINTS))
