"""The built wheel, in an environment of its own, away from the checkout."""

import importlib.util
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


def run(*command, cwd):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [str(part) for part in command]
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # With the build backend at hand nothing is downloaded.
    at_hand = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", *at_hand]
    run(*pip, "--wheel-dir", folder, ROOT, cwd=folder)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """Scripts folder of a fresh environment that holds the wheel.

    The dependencies are those of the running interpreter, found through a .pth file at the end of
    the path; its own (editable) rsnet_jax must not win.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    run(scripts / "python", "-m", "pip", "install", "--no-deps", "--no-index", wheel, cwd=folder)
    [packages] = folder.rglob("site-packages")
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "dependencies.pth").write_text("\n".join(sorted(paths)) + "\n")
    return scripts


def test_wheel_holds_the_package_and_its_data_only(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "rsnet_jax/data/h36m/cameras.json" in names
    page = "rsnet_jax/visualize/page"
    assert {f"{page}/page.html", f"{page}/page.css", f"{page}/js/main.js"} <= set(names)
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"rsnet_jax"}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "rsnet_jax").rglob("*.py")}
    assert modules <= set(names)
    assert not [name for name in names if "__pycache__" in name]
    weights = {f"rsnet_jax/weights/pose26.{suffix}" for suffix in ("safetensors", "onnx")}
    assert weights <= set(names)
    assert wheel.stat().st_size < 8 * 2**20


def test_installed_command_runs_outside_the_checkout(environment, tmp_path):
    where = "import rsnet_jax; print(rsnet_jax.__file__)"
    found = Path(run(environment / "python", "-c", where, cwd=tmp_path).strip())
    assert found.is_relative_to(environment.parent)
    assert "evaluate" in run(environment / "rsnet-jax", "--help", cwd=tmp_path)
    options = ["--data.actions", "Walk", "--data.every", "10"]
    table = run(environment / "rsnet-jax", "evaluate", *options, cwd=tmp_path)
    assert "NOT TRAINED" in table and "average" in table
    assert "mocap.cs.cmu.edu" in run(environment / "rsnet-jax", "info", "pose26", cwd=tmp_path)
    options = ["--rows", "latency", "--width", "4", "--seconds", "0.01"]
    assert "width 4" in run(environment / "rsnet-jax", "benchmark", *options, cwd=tmp_path)
