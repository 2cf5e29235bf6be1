import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "rsnet_jax"

# A module imports only modules above it; `errors` at the top knows nothing of the others. A new
# module gets its place here.
ORDER = [
    "data.synthetic",
    "data.h36m",
    "lifting",
    "evaluation",
    "training",
    "checkpoints",
    "distributed",
    "pose",
    "files",
    "distributed.die_with_parent",
    "errors",
    "files.paths",
    "distributed.launcher",
    "pose.skeleton",
    "pose.camera",
    "config",
    "pose.metrics",
    "training.losses",
    "files.outputs",
    "files.safe_pickle",
    "distributed.host_memory",
    "distributed.compile_cache",
    "distributed.rendezvous",
    "distributed.processes",
    "models.initializers",
    "models.matmul",
    "models.layers",
    "models.graph_conv",
    "models.rsnet",
    "models.refine",
    "models",
    "data",
    "files.safe_npz",
    "data.h36m.cameras",
    "data.frames",
    "data.h36m.joint_order",
    "data.h36m.validate",
    "data.h36m.read",
    "data.h36m.check",
    "data.h36m.write",
    "data.synthetic.body",
    "data.synthetic.motion",
    "data.synthetic.gait",
    "data.synthetic.clips",
    "data.load",
    "training.optim",
    "distributed.devices",
    "checkpoints.weights",
    "training.steps",
    "checkpoints.torch_file",
    "checkpoints.key_tables",
    "checkpoints.published",
    "checkpoints.safetensors_file",
    "checkpoints.checkpoint",
    "training.run_log",
    "training.run_lock",
    "training.run_folder",
    "evaluation.evaluation",
    "training.report",
    "training.start",
    "training.loop",
    "lifting.lifter",
    "rsnet_jax",
    "plan",
    "plan.hlo",
    "plan.loop_cost",
    "plan.peak_memory",
    "plan.traced_cost",
    "plan.programs",
    "plan.libtpu_worker",
    "plan.libtpu",
    "plan.chips",
    "plan.roofline",
    "plan.estimate",
    "plan.report",
    "cli",
    "cli.options",
    "cli.tables",
    "cli.benchmark",
    "cli.check_data",
    "cli.convert",
    "cli.evaluate",
    "cli.info",
    "cli.launch",
    "cli.plan",
    "cli.prepare",
    "cli.train",
    "cli.main",
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
