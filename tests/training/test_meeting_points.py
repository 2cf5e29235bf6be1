"""The mark `# all meet`, which rsnet_jax/training/loop.py explains, is on every line that needs it.

A function meets if it calls one that exchanges something between processes, or one that meets.
"""

import ast
from pathlib import Path

import rsnet_jax
from rsnet_jax.distributed import processes

PACKAGE = Path(rsnet_jax.__file__).parent
MARK = "# all meet"
EXCHANGE = {"process_allgather", "broadcast_one_to_all", "reached_preemption_sync_point"}
OURS = {"append": {"metrics_log"}, "save": {"checkpoints", "_checkpoints"}}
"""Methods whose names others have too, with the names of the objects that are meant."""


def definitions(path):
    """(name in a call, definition) of the functions of a file; a class stands for its __init__."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    yield node.name if method.name == "__init__" else method.name, method
        elif isinstance(node, ast.FunctionDef):
            yield node.name, node


def calls(tree):
    """(name, lines that may bear the mark: its first and its last) of each call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            *owner, name = ast.unparse(node.func).split(".")
            if name not in OURS or OURS[name] & set(owner):
                yield name, (node.lineno, node.end_lineno)


def meeting_names(paths):
    """The names of the functions that meet."""
    found = [(name, tree) for path in paths for name, tree in definitions(path)]
    names = EXCHANGE | {"initialize_distributed", "connect"}
    before = set()
    while names != before:
        before = set(names)
        names |= {name for name, tree in found if any(c in before for c, _ in calls(tree))}
    return names


def test_every_meeting_point_is_marked():
    paths = sorted((PACKAGE / "training").glob("*.py"))
    names = meeting_names([Path(processes.__file__), *paths])
    assert {"agree", "check_equal", "raise_on_all_processes", "save", "fit", "run_epoch"} <= names
    assert not names & {"is_multiprocess", "is_process_zero", "fresh_state", "claim_workdir"}
    wrong = []
    for path in paths:
        text = path.read_text()
        meeting = {lines for name, lines in calls(ast.parse(text)) if name in names}
        marked = {number for number, line in enumerate(text.splitlines(), 1) if line.endswith(MARK)}
        missing = {lines[0] for lines in meeting if not marked & set(lines)}
        needless = marked - {line for lines in meeting for line in lines}
        wrong += [f"{path.name}:{line}" for line in sorted(missing | needless)]
    assert not wrong
