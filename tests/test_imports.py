import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "rsnet_jax"

# A module imports only modules above it; `errors` at the top knows nothing of the others. A new
# module gets its place here.
ORDER = [
    *("die_with_parent", "errors", "paths", "launcher"),
    *("skeleton", "camera", "config", "metrics", "losses", "outputs", "safe_pickle"),
    *("host_memory", "compile_cache", "rendezvous", "processes"),
    *("models.initializers", "models.products", "models.layers", "models.graph_conv"),
    *("models.rsnet", "models.refine", "models"),
    *("data", "data.safe_npz", "data.h36m_cameras", "data.frames", "data.h36m_layout"),
    *("data.h36m_problems", "data.h36m", "data.check", "data.h36m_write"),
    *("data.synthetic_body", "data.synthetic_motion", "data.synthetic_gait", "data.synthetic"),
    "data.load",
    *("optim", "parallel", "weights", "steps"),
    *("interop", "interop.torch_file", "interop.convert", "interop.published"),
    "interop.safetensors_file",
    *("checkpoint", "run_log", "run_lock", "run_folder", "evaluation"),
    *("training_report", "training_start"),
    *("training", "lifter", "rsnet_jax"),
    *("plan", "plan.hlo", "plan.loop", "plan.buffers", "plan.draws", "plan.programs", "plan.child"),
    *("plan.compiler", "plan.chips", "plan.roofline", "plan.estimate", "plan.report"),
    *("cli", "cli.options", "cli.tables", "cli.benchmark", "cli.check_data", "cli.convert"),
    *("cli.evaluate", "cli.info", "cli.launch", "cli.plan", "cli.prepare", "cli.train", "cli.main"),
    "__main__",
]


def module_name(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts) or "rsnet_jax"


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(path):
    """The modules of ours that a file imports, inside functions too."""

    def ours(name):
        return name.removeprefix("rsnet_jax.") if name.split(".")[0] == "rsnet_jax" else None

    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from filter(None, (ours(alias.name) for alias in node.names))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            source = ours(node.module)
            for alias in node.names if source else []:
                inner = alias.name if source == "rsnet_jax" else f"{source}.{alias.name}"
                yield inner if inner in MODULES else source


def test_every_module_has_its_place():
    assert set(MODULES) <= set(ORDER)
    assert len(set(ORDER)) == len(ORDER)


@pytest.mark.parametrize("name", MODULES)
def test_modules_import_only_from_above(name):
    above = set(ORDER[: ORDER.index(name)])
    assert set(imported(MODULES[name])) <= above


def test_the_package_imports_little():
    slow = ["torch", "matplotlib", "tensorflow", "orbax", "tyro", "tensorboardX", "h5py"]
    script = f"import sys, rsnet_jax; print(*[m for m in {slow} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
