"""Scripts of the repository that are not part of the package, loaded by their path."""

import runpy
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parents[1]


def load_script(path):
    """The names that a script defines; its main part is not run."""
    return SimpleNamespace(**runpy.run_path(str(ROOT / path)))
