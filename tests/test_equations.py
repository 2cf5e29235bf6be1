"""docs/equations.md names things that exist, and each published tensor once."""

import fnmatch
import importlib
import re
from pathlib import Path

from rsnet_jax.checkpoints.torch_file import read_state_dict
from rsnet_jax.models import reference

ROOT = Path(__file__).parents[1]


def code_spans(cell):
    return re.findall(r"`([^`]+)`", cell)


def table_rows():
    """(files, names, names in reference.py, published keys) of every row of the page."""
    rows = []
    for line in (ROOT / "docs/equations.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or cells[0] in ("what", "---"):
            continue
        assert len(cells) in (4, 6), f"not the columns of a table: {line}"
        _, _, *columns = *cells, *[""] * (6 - len(cells))
        rows.append([code_spans(cell) for cell in columns])
    return rows


def is_stated(file, name):
    """True if `name`, a function, a class or the attribute of a class, is stated in `file`."""
    if not (ROOT / file).is_file():
        return False
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    top, *attributes = name.split(".")
    found = getattr(module, top, None)
    # Not merely imported there.
    stated = getattr(found, "__module__", None) == module.__name__
    return stated and all(hasattr(found, attribute) for attribute in attributes)


def test_file_and_name_of_every_equation_exist():
    rows = table_rows()
    assert len(rows) > 30
    assert all(len(files) == len(names) == 1 for files, names, *_ in rows)
    assert [row for row in rows if not is_stated(row[0][0], row[1][0])] == []


def test_functions_of_the_reference_network_are_on_the_page():
    listed = {name for *_, plain, _ in table_rows() for name in plain}
    stated = {name for name in vars(reference) if is_stated("rsnet_jax/models/reference.py", name)}
    # `rsnet` is `forward` in evaluation.
    assert stated - {"rsnet"} == listed


def test_every_published_tensor_is_in_one_row(golden):
    files = "model_rsnet_3_eva_post_4711.pth", "model_post_refine_3_eva_post_4711.pth"
    keys = {key for file in files for key in read_state_dict(golden / "rsnet" / file)}
    patterns = [pattern for *_, row in table_rows() for pattern in row]
    owners = {key: [p for p in patterns if fnmatch.fnmatchcase(key, p)] for key in keys}
    assert {key: found for key, found in owners.items() if len(found) != 1} == {}
    assert {pattern for found in owners.values() for pattern in found} == set(patterns)
