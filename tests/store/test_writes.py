"""No write is unaudited by mistake: a walk over the store finds a row in `app/store/writes.py` for each method that writes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.domain.audit import AuditAction
from app.store.writes import ENTRY_ALONE, WRITES, Unaudited

STORE = Path(__file__).resolve().parents[2] / "app" / "store"
SOURCES = {
    f"app.store.{'.'.join(path.relative_to(STORE).with_suffix('').parts)}": path.read_text() for path in STORE.rglob("*.py")
}
_SQL = re.compile(r"\b(INSERT INTO|UPDATE \w+ SET|DELETE FROM|TRUNCATE TABLE)\b")
_BUILDERS = {"insert", "update", "delete"}
_FILES = {"os.replace", "os.open", "unlink", "mkdir"}

Node = ast.FunctionDef | ast.expr


@dataclass
class Walk:
    """The definitions of some modules, by `module:name` or `module:Class.name`, and those of them that write."""

    nodes: dict[str, Node] = field(default_factory=dict)
    imported: dict[str, str] = field(default_factory=dict)
    builders: set[str] = field(default_factory=set)

    def read(self, module: str, source: str) -> None:
        """Add the definitions of a module."""
        for statement in ast.parse(source).body:
            match statement:
                case ast.ImportFrom(module=str(origin)):
                    for alias in statement.names:
                        local = f"{module}:{alias.asname or alias.name}"
                        self.imported[local] = f"{origin}:{alias.name}"
                        if origin.startswith("sqlalchemy") and alias.name in _BUILDERS:
                            self.builders.add(local)
                case ast.FunctionDef():
                    self.nodes[f"{module}:{statement.name}"] = statement
                case ast.Assign(targets=[ast.Name(id=name)]):
                    self.nodes[f"{module}:{name}"] = statement.value
                case ast.ClassDef():
                    methods = [member for member in statement.body if isinstance(member, ast.FunctionDef)]
                    self.nodes |= {f"{module}:{statement.name}.{method.name}": method for method in methods}

    def writers(self) -> set[str]:
        """Find the definitions that write by themselves, or through other definitions here."""
        writers = {place for place, node in self.nodes.items() if self._writes(place, node)}
        while more := {p for p, node in self.nodes.items() if p not in writers and writers & set(self._uses(p, node))}:
            writers |= more
        return writers

    def _writes(self, place: str, node: Node) -> bool:
        module = place.partition(":")[0]
        for part in ast.walk(node):
            match part:
                case ast.Constant(value=str(text)) if _SQL.search(text):
                    return True
                case ast.Call(func=ast.Name(id=name)) if f"{module}:{name}" in self.builders:
                    return True
                case ast.Call(func=ast.Attribute() as called) if {ast.unparse(called), called.attr} & _FILES:
                    return True
        return False

    def _uses(self, place: str, node: Node) -> Iterator[str]:
        """List the names used within a definition: of the module, of the same object, or imported."""
        module, _, name = place.partition(":")
        for part in ast.walk(node):
            match part:
                case ast.Name(id=used):
                    yield self.imported.get(f"{module}:{used}", f"{module}:{used}")
                case ast.Attribute(value=ast.Name(id="self"), attr=used):
                    yield f"{module}:{name.partition('.')[0]}.{used}"


def walked(sources: dict[str, str]) -> set[str]:
    """Name the public functions and methods that write."""
    walk = Walk()
    for module, source in sources.items():
        walk.read(module, source)
    names = {place.partition(":")[2] for place in walk.writers() if isinstance(walk.nodes[place], ast.FunctionDef)}
    return {name for name in names if not any(part.startswith("_") for part in name.split("."))}


def test_every_write_has_a_row_and_every_row_a_write() -> None:
    assert walked(SOURCES) == set(WRITES)


def test_every_row_says_how_it_is_audited_or_why_not() -> None:
    assert all(WRITES.values())
    assert {why for row in WRITES.values() for why in row if isinstance(why, Unaudited)} == set(Unaudited)


def test_every_action_is_that_of_a_write_or_of_an_entry_alone() -> None:
    written = {action for row in WRITES.values() for action in row if isinstance(action, AuditAction)}
    assert written | set(ENTRY_ALONE) == set(AuditAction)
    assert not written & set(ENTRY_ALONE)


def test_the_walk_finds_writes_however_they_are_made() -> None:
    room = """
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from app.store.other import put
_SQL = text("UPDATE things SET seen = true")
_LOCK = text("SELECT 1 FROM things FOR UPDATE SKIP LOCKED")
class Room:
    def reads(self): return self.connection.execute(_LOCK)
    def by_text(self): self.connection.execute(_SQL)
    def by_builder(self): self.connection.execute(upsert(things))
    def by_method(self): return self._through()
    def by_thread(self): Thread(target=self._through)
    def by_import(self): put()
    def _through(self): self.by_text()
"""
    other = """
def put(): Path("x").unlink()
def harmless(text): return text.replace("a", "b")
"""
    writers = walked({"app.store.room": room, "app.store.other": other})
    assert writers == {"put", *(f"Room.by_{way}" for way in ("text", "builder", "method", "thread", "import"))}
