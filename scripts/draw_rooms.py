"""Draws the import graph of the package's rooms as Mermaid, from the source.

python scripts/draw_rooms.py            # prints the graph
python scripts/draw_rooms.py --write    # writes it to docs/architecture.md, between the markers

A room is a folder of `rsnet_jax/`, or a module beside the folders. An arrow from A to B says that A
imports B. Arrows that follow from others are left out (transitive reduction): with A -> B and
B -> C there is no arrow A -> C, whether A imports C itself or not.
"""

import argparse
import ast
import graphlib
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rsnet_jax"
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- rooms:begin -->\n", "<!-- rooms:end -->"

Graph = dict[str, set[str]]
"""The names that each name imports."""


def module_name(path: Path) -> str:
    """The name of a module within the package; "" for the package's own `__init__.py`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def module_graph() -> Graph:
    """The imports of all modules, those inside functions too."""
    return {name: set(imports_of(path)) for name, path in MODULES.items()}


def imports_of(path: Path) -> Iterator[str]:
    """Yields the modules of the package that a file imports."""

    def within_package(name: str) -> str:
        return name.removeprefix(PACKAGE.name).removeprefix(".")

    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            yield from (within_package(n) for n in names if n.split(".")[0] == PACKAGE.name)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: relative import"
            if node.module.split(".")[0] == PACKAGE.name:
                source = within_package(node.module)
                for alias in node.names:
                    inner = f"{source}.{alias.name}".removeprefix(".")
                    yield inner if inner in MODULES else source


def room_of(module: str) -> str:
    """The room of a module."""
    return module.split(".")[0]


def room_graph(modules: Mapping[str, set[str]]) -> Graph:
    """The imports between rooms, from those between modules."""
    graph: Graph = {room_of(name): set() for name in modules}
    for name, others in modules.items():
        graph[room_of(name)] |= {room_of(other) for other in others} - {room_of(name)}
    return graph


def without_implied(graph: Graph) -> Graph:
    """The transitive reduction of a graph.

    Raises:
        CycleError: the rooms import each other in a circle.
    """
    reached: Graph = {}  # all that a name imports, directly or not
    reduced: Graph = {}
    for name in graphlib.TopologicalSorter(graph).static_order():
        implied = set[str]().union(*(reached[other] for other in graph[name]))
        reached[name] = graph[name] | implied
        reduced[name] = graph[name] - implied
    return reduced


def label(room: str) -> str:
    """The name of a room in the drawing: a folder, or a file."""
    return f"{room}/" if (PACKAGE / room).is_dir() and room else f"{room or '__init__'}.py"


def mermaid(graph: Graph) -> str:
    """The lines of a Mermaid drawing; rooms that import others come before them."""
    depth: dict[str, int] = {}
    for name in graphlib.TopologicalSorter(graph).static_order():
        depth[name] = 1 + max((depth[other] for other in graph[name]), default=0)
    rooms = sorted(graph, key=lambda room: (-depth[room], room))
    ids = {room: f"room_{room.strip('_') or 'init'}" for room in rooms}
    lines = ["```mermaid", "flowchart TD"]
    lines += [f'    {ids[room]}["{label(room)}"]' for room in rooms]
    for room in rooms:
        lines += [f"    {ids[room]} --> {ids[other]}" for other in rooms if other in graph[room]]
    return "\n".join([*lines, "```", ""])


def drawing() -> str:
    """The drawing of this package, as docs/architecture.md holds it."""
    return mermaid(without_implied(room_graph(module_graph())))


def with_drawing(page: str) -> str:
    """A page with the drawing between its markers."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, f"{PAGE.name} has the markers {BEGIN.strip()} and {END}"
    return before + BEGIN + drawing() + END + after


def main() -> None:
    """Prints the drawing, or writes it to the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--write", action="store_true", help=f"write to docs/{PAGE.name}")
    if parser.parse_args().write:
        PAGE.write_text(with_drawing(PAGE.read_text()))
    else:
        print(drawing(), end="")


if __name__ == "__main__":
    main()
