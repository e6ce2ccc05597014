"""What is inside pynetdicom is touched in `node.wire` alone, and only what its list names."""

import ast
import inspect
import re
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Final

import pynetdicom
import pytest
from pynetdicom.fsm import EVENTS as THEIR_EVENTS
from pynetdicom.fsm import STATES as THEIR_STATES

from node.wire.internals import EVENTS, INTERNALS, STATES
from tests.parsed import nodes, parsed

ROOT: Final = Path(__file__).resolve().parents[2]
PROVIDERS: Final = {  # what does the work behind an association
    "acse": "pynetdicom.acse.ACSE",
    "dimse": "pynetdicom.dimse.DIMSEServiceProvider",
    "dul": "pynetdicom.dul.DULServiceProvider",
}
BY_NAME: Final = ("getattr", "setattr", "hasattr", "delattr")
REPLACES: Final = "__class__"
SUBCLASS: Final = "a subclass"


@dataclass(frozen=True)
class Touch:
    """A place in our source that reaches into pynetdicom.

    Attributes
    ----------
    owner : str
        Class or module of pynetdicom that has the name; '' where the source does not tell.
    """

    module: str
    line: int
    owner: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.name} of {self.owner or 'pynetdicom'}"


def private(name: str) -> bool:
    """Tell whether a name begins with one underscore."""
    return name.startswith("_") and not name.startswith("__")


def defined(tree: ast.AST) -> set[str]:
    """Return the names that source defines: functions, classes, variables, attributes of self."""
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
    return names


@cache
def theirs() -> frozenset[str]:
    """Return every private name that pynetdicom defines anywhere, its modules included."""
    folder = Path(str(pynetdicom.__file__)).parent
    names: set[str] = set()
    for path in folder.glob("*.py"):
        names |= {path.stem} | defined(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(filter(private, names))


def found_at(path: str) -> object:
    """Return the module, class or function of a dotted path."""
    try:
        return import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(import_module(module), name)


@cache
def names_of(owner: str) -> Mapping[str, frozenset[str]]:
    """Return the names of a module or class of pynetdicom, by where they are defined."""
    found = found_at(owner)
    if isinstance(found, ModuleType):
        return {found.__name__: frozenset(vars(found))}
    assert isinstance(found, type)
    return {
        f"{cls.__module__}.{cls.__name__}": frozenset(vars(cls))
        | defined(ast.parse(textwrap.dedent(inspect.getsource(cls))))
        for cls in found.__mro__
        if cls.__module__.startswith("pynetdicom")
    }


@dataclass
class SourceFile:
    """One file of ours."""

    module: str
    tree: ast.Module
    names: dict[str, str] = field(default_factory=dict)  # dotted paths by the name here

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    self.names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    path = alias.name if alias.asname else alias.name.partition(".")[0]
                    self.names[alias.asname or path] = path
            elif isinstance(node, ast.ClassDef):
                self.names[node.name] = f"{self.module}.{node.name}"

    @cached_property
    def classes(self) -> dict[str, set[str]]:
        """What each class of the file is derived from, by dotted paths."""
        return {
            f"{self.module}.{node.name}": {self.path(base) for base in node.bases}
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ClassDef)
        }

    def path(self, node: ast.expr) -> str:
        """Return the dotted path that an expression names; '' where it is none we know."""
        match node:
            case ast.Name(id=name):
                return self.names.get(name, "")
            case ast.Attribute(value=value, attr=name):
                before = self.path(value)
                return f"{before}.{name}" if before else ""
        return ""


@cache
def sources() -> tuple[SourceFile, ...]:
    """Return every file of the node."""
    return tuple(
        SourceFile(
            ".".join(path.relative_to(ROOT).with_suffix("").parts),
            parsed(path),
        )
        for path in sorted((ROOT / "node").rglob("*.py"))
    )


def bases(files: Iterable[SourceFile]) -> dict[str, set[str]]:
    """Return the classes of pynetdicom that each class of ours is derived from."""
    direct = {name: above for source in files for name, above in source.classes.items()}

    def above(name: str) -> set[str]:
        if name.startswith("pynetdicom"):
            return {name}
        return set().union(*map(above, direct.get(name, ())))

    return {name: above(name) for name in direct}


class TouchReader:
    """Finds what one file touches.

    Our own private names are told from theirs by whose `self` they are looked up on: in a class
    of ours that has no base of pynetdicom they are ours. In one that has, a name is theirs if
    their class has it, ours if not. On anything else than `self` a name is theirs if pynetdicom
    defines it anywhere.
    """

    def __init__(self, source: SourceFile, classes: Mapping[str, set[str]]) -> None:
        self._source = source
        self._classes = classes
        self.touches: list[Touch] = []
        self._read(source.tree, set(), "")

    def _note(self, node: ast.AST, owner: str, name: str) -> None:
        line = getattr(node, "lineno", 0)
        self.touches.append(Touch(self._source.module, line, owner, name))

    def _read(self, node: ast.AST, above: set[str], me: str) -> None:
        """Read what stands in a node; in a method `me` is the name of its first argument."""
        for child in ast.iter_child_nodes(node):
            self._touch(child, above, me)
            if isinstance(child, ast.ClassDef):
                within = self._classes[f"{self._source.module}.{child.name}"]
                if within:
                    self._note(child, min(within), SUBCLASS)
                self._body(child, within)
                self._read(child, within, "")
            elif isinstance(node, ast.ClassDef) and isinstance(child, ast.FunctionDef):
                arguments = child.args.posonlyargs + child.args.args
                self._read(child, above, arguments[0].arg if arguments else "")
            else:
                self._read(child, above, me)

    def _body(self, node: ast.ClassDef, above: set[str]) -> None:
        """Note what a class defines that its base has, too."""
        for statement in node.body:
            match statement:
                case ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                    self._inherited(statement, above, name)
                case ast.Assign(targets=targets):
                    for target in targets:
                        self._inherited(statement, above, getattr(target, "id", ""))

    def _inherited(self, node: ast.AST, above: set[str], name: str) -> None:
        for base in above:
            for owner, names in names_of(base).items():
                if name in names and not name.startswith("__"):
                    self._note(node, owner, name)
                    return

    def _touch(self, node: ast.AST, above: set[str], me: str) -> None:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    self._imported(node, alias.name)
            case ast.ImportFrom(module=str(module), names=names):
                for alias in names:
                    self._imported(node, f"{module}.{alias.name}")
            case ast.Attribute():
                self._attribute(node, above, me)
            case ast.Call(
                func=ast.Name(id=called), args=[_, ast.Constant(value=str(name)), *_]
            ) if called in BY_NAME and name in theirs():
                self._note(node, "", name)
            case ast.Constant(value=str(text)) if re.fullmatch(r"(Evt|Sta)\d+", text):
                self._note(node, "pynetdicom.fsm", text)

    def _imported(self, node: ast.AST, path: str) -> None:
        parts = path.split(".")
        if parts[0] in ("pynetdicom", "pydicom"):
            for at, part in enumerate(parts):
                if private(part):
                    self._note(node, ".".join(parts[:at]), part)

    def _attribute(self, node: ast.Attribute, above: set[str], me: str) -> None:
        name, value = node.attr, node.value
        path = self._source.path(value)
        if isinstance(value, ast.Name) and value.id == me:
            self._inherited(node, above, name)
        elif name in PROVIDERS:
            self._note(node, "pynetdicom.association.Association", name)
        elif isinstance(value, ast.Attribute) and value.attr in PROVIDERS:
            self._inherited(node, {PROVIDERS[value.attr]}, name)
        elif path.startswith("pynetdicom") and isinstance(found := found_at(path), ModuleType):
            if private(name) or name in INTERNALS.get(found.__name__, ()):
                self._note(node, found.__name__, name)
        elif name in theirs():
            self._note(node, "", name)
        if name == REPLACES and isinstance(node.ctx, ast.Store):
            self._note(node, "", REPLACES)


def touches(source: SourceFile, classes: Mapping[str, set[str]]) -> list[Touch]:
    """Return what one file touches."""
    return TouchReader(source, classes).touches


def touched(within: bool) -> Iterator[Touch]:
    """Yield what is touched within the room, or outside it."""
    classes = bases(sources())
    for source in sources():
        if source.module.startswith("node.wire.") is within:
            yield from touches(source, classes)


def listed(touch: Touch) -> bool:
    """Tell whether the room may touch a name."""
    if touch.name in (REPLACES, SUBCLASS):
        return True
    if touch.owner == "pynetdicom.fsm":
        return touch.name in EVENTS or touch.name in STATES
    owners = [touch.owner] if touch.owner else list(INTERNALS)
    return any(touch.name in INTERNALS.get(owner, ()) for owner in owners)


def read(text: str) -> list[str]:
    """Return the names that one file of the node would touch, with these lines in it."""
    source = SourceFile("node.sample", ast.parse(textwrap.dedent(text)))
    return [touch.name for touch in touches(source, bases([source, *sources()]))]


def test_nothing_outside_the_room_reaches_into_pynetdicom() -> None:
    """Whoever needs more of it adds a function to the room, and a reason to its list."""
    assert [str(touch) for touch in touched(within=False)] == []


def test_what_the_room_touches_stands_on_its_list() -> None:
    """The list is what an upgrade is read against."""
    assert [str(touch) for touch in touched(within=True) if not listed(touch)] == []


def test_the_list_names_nothing_that_is_not_used() -> None:
    """Else it grows old."""
    used = {
        getattr(node, "attr", getattr(node, "name", getattr(node, "value", None)))
        for path in (ROOT / "node/wire").glob("*.py")
        if path.stem != "internals"
        for node in nodes(path)
        if isinstance(node, ast.Attribute | ast.alias | ast.FunctionDef | ast.Constant)
    }
    names = {name for names in INTERNALS.values() for name in names} | {*EVENTS, *STATES}

    assert names - used == set()


@pytest.mark.parametrize(
    ("owner", "name"), [(owner, name) for owner, names in INTERNALS.items() for name in names]
)
def test_every_name_on_the_list_exists(owner: str, name: str) -> None:
    """An upgrade that moves one fails here by its name, before a scanner finds out."""
    assert any(name in names for names in names_of(owner).values()), (
        f"{owner} of pynetdicom {version('pynetdicom')} has no {name}: "
        f"{INTERNALS[owner][name]!r} needs another way"
    )


def test_every_event_and_state_on_the_list_exists() -> None:
    """They are texts; one that the state machine does not know would kill its thread."""
    assert EVENTS.keys() <= THEIR_EVENTS.keys()
    assert STATES.keys() <= THEIR_STATES.keys()


def test_pynetdicom_is_pinned() -> None:
    """To the version that the list was read against."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert f"pynetdicom=={version('pynetdicom')}" in project["dependencies"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("from pynetdicom import _config", "_config"),
        ("import pynetdicom._config", "_config"),
        ("from pynetdicom._config import LOG_HANDLER_LEVEL", "_config"),
        ("from pynetdicom.sop_class import _STORAGE_CLASSES", "_STORAGE_CLASSES"),
        ("from pydicom._uid_dict import UID_dictionary", "_uid_dict"),
        ("import pynetdicom as net\nnet._config.LOG_HANDLER_LEVEL", "_config"),
        ("from pynetdicom import evt\nevt.trigger(assoc, evt.EVT_ACCEPTED, {})", "trigger"),
        ("assoc._accepted_cx", "_accepted_cx"),
        ("event.assoc._kill = True", "_kill"),
        ("getattr(assoc, '_server')", "_server"),
        ("setattr(assoc, '_kill', True)", "_kill"),
        ("assoc.dimse.msg_queue", "msg_queue"),
        ("assoc.dul", "dul"),
        ("wrapped.__class__ = Another", "__class__"),
        ("dul.event_queue.put('Evt19')", "Evt19"),
        (
            """
            from pynetdicom.dul import DULServiceProvider as Provider
            class Ours(Provider):
                def _decode_pdu(self, octets): ...
            """,
            "_decode_pdu",
        ),
        (
            """
            from pynetdicom.acse import ACSE
            class Ours(ACSE):
                _negotiate_as_acceptor = None
            """,
            "_negotiate_as_acceptor",
        ),
        (
            """
            from pynetdicom.association import Association
            class Between(Association): ...
            class Ours(Between):
                def stop(self): self._kill = True
            """,
            "_kill",
        ),
        (
            """
            from node.wire.sockets import AcceptorSocket
            class Ours(AcceptorSocket):
                def stop(me): return lambda: me._shutdown_socket()
            """,
            "_shutdown_socket",
        ),
    ],
)
def test_each_way_in_is_seen(text: str, name: str) -> None:
    """Imports, accesses by name or text, replaced classes, overridden methods."""
    assert name in read(text)


def test_our_own_private_names_are_ours() -> None:
    """Even where pynetdicom has one of the same name in another class."""
    ours = """
        from pynetdicom.dimse import DIMSEServiceProvider
        class Plain:
            def __init__(self): self._kill = self._accepted_cx = False
        class Derived(DIMSEServiceProvider):
            def _decode_pdu(self): return self._accepted_cx
        """

    assert read(ours) == [SUBCLASS]
