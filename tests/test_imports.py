import subprocess
import sys

import pytest
from script_loader import load_script

# A room (a folder or a module beside them) imports only from rooms above it. "" is the package's
# own `__init__.py`, which names what users import.
ROOMS = [
    *(
        "errors",
        "files",
        "pose",
        "config",
        "keypoints",
        "export",
        "visualize",
        "models",
        "data",
        "distributed",
        "checkpoints",
    ),
    *("evaluation", "interchange", "lifting", "training"),
    *("", "plan", "benchmark", "cli", "__main__"),
]


rooms = load_script("scripts/draw_rooms.py")
room_of = rooms.room_of
IMPORTS = rooms.module_graph()


def test_every_room_has_its_place():
    assert {room_of(name) for name in IMPORTS} == set(ROOMS)


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


def test_drawing_of_the_rooms_is_up_to_date():
    page = rooms.PAGE.read_text()
    assert rooms.with_drawing(page) == page, "python scripts/draw_rooms.py --write"


def test_drawing_leaves_out_implied_arrows_only():
    graph = {"a": {"b", "c", "d"}, "b": {"c"}, "c": set(), "d": {"c"}}
    assert rooms.without_implied(graph) == {"a": {"b", "d"}, "b": {"c"}, "c": set(), "d": {"c"}}
    with pytest.raises(ValueError, match="cycle"):
        rooms.without_implied({"a": {"b"}, "b": {"a"}})
    lines = rooms.mermaid({"files": {"errors"}, "": {"files"}, "errors": set()}).splitlines()
    assert lines == [
        "```mermaid",
        "flowchart TD",
        '    room_init["__init__.py"]',
        '    room_files["files/"]',
        '    room_errors["errors.py"]',
        "    room_init --> room_files",
        "    room_files --> room_errors",
        "```",
    ]


def test_the_package_imports_little():
    slow = ["torch", "matplotlib", "tensorflow", "orbax", "tyro", "tensorboardX", "h5py", "onnx"]
    script = f"import sys, rsnet_jax; print(*[m for m in {slow} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_an_exported_network_is_lifted_without_jax():
    script = (
        "import sys, rsnet_jax; rsnet_jax.Lifter.load; "
        "print(*[m for m in ('jax', 'flax', 'chex', 'onnx', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
