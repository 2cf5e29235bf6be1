import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "rsnet_jax"

# A room (a folder or a module beside them) imports only from rooms above it. "" is the package's
# own `__init__.py`, which names what users import.
ROOMS = [
    *("errors", "files", "pose", "config", "models", "data", "distributed", "checkpoints"),
    *("evaluation", "lifting", "training", "", "plan", "cli", "__main__"),
]


def module_name(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room_of(module):
    return module.split(".")[0]


def imported(path):
    """The modules of ours that a file imports, inside functions too."""

    def ours(name):
        return name.removeprefix("rsnet_jax").removeprefix(".")

    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            yield from (ours(name) for name in names if name.split(".")[0] == "rsnet_jax")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module.split(".")[0] == "rsnet_jax":
                source = ours(node.module)
                for alias in node.names:
                    inner = f"{source}.{alias.name}".removeprefix(".")
                    yield inner if inner in MODULES else source


IMPORTS = {name: set(imported(path)) for name, path in MODULES.items()}


def test_every_room_has_its_place():
    assert {room_of(name) for name in MODULES} == set(ROOMS)


def test_rooms_import_only_from_above():
    wrong = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in others
        if ROOMS.index(room_of(other)) > ROOMS.index(room_of(name))
    ]
    assert not wrong


def test_modules_import_each_other_in_no_circle():
    """Takes away modules that import none of the rest, until none is left."""
    left = dict(IMPORTS)
    while free := [name for name, others in left.items() if not others & (left.keys() - {name})]:
        for name in free:
            del left[name]
    assert not left


def test_the_package_imports_little():
    slow = ["torch", "matplotlib", "tensorflow", "orbax", "tyro", "tensorboardX", "h5py"]
    script = f"import sys, rsnet_jax; print(*[m for m in {slow} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
