"""The kinds of files that the campaign of damaged files damages: how each is made and read."""

import dataclasses
import json
import pickle
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import damages
import h36m_files
import plan_figures

from rsnet_jax.checkpoints.load import load_checkpoint
from rsnet_jax.checkpoints.orbax_folder import save_checkpoint
from rsnet_jax.checkpoints.safetensors_file import save_safetensors
from rsnet_jax.cli.plan import stored_plans
from rsnet_jax.config import Config, find_preset, load_preset, save_preset
from rsnet_jax.data.check import check_folder
from rsnet_jax.data.h36m.read import load_h36m
from rsnet_jax.plan.chips import parse_topology
from rsnet_jax.plan.estimate import Plan
from rsnet_jax.plan.figures import CompiledFigures
from rsnet_jax.plan.report import as_json, plan_lines
from rsnet_jax.training.metrics_file import mend_metrics
from rsnet_jax.training.run_files import RunFiles

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
STEPS = (10, 20)  # of the made-up run


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file."""

    make: Callable[[Path], None]
    """Fills a folder with a good file or files."""
    damage: Callable[[Path, random.Random], None]
    """Damages what is in a copy of that folder."""
    read: Callable[[Path], Any]
    """Reads it; results of equal content are equal."""


def _damage_bytes(name: str) -> Callable[[Path, random.Random], None]:
    def damage(folder: Path, rng: random.Random) -> None:
        path = folder / name
        path.write_bytes(damages.damaged_bytes(path.read_bytes(), rng))

    return damage


def _read_weights(path: Path) -> Any:
    checkpoint = load_checkpoint(path)
    skeletons = (checkpoint.skeleton, checkpoint.keypoint_skeleton)
    return checkpoint.fingerprint, checkpoint.config, skeletons, checkpoint.step


# Human3.6M files


def _make_h36m(folder: Path) -> None:
    made = h36m_files.make()
    h36m_files.write(folder, made)
    (folder / "made.pickle").write_bytes(pickle.dumps(made))


def _damage_h36m(name: str, *fields: str) -> Callable[[Path, random.Random], None]:
    def damage(folder: Path, rng: random.Random) -> None:
        made = pickle.loads((folder / "made.pickle").read_bytes())
        kind = rng.choice(("bytes", "member", "tree", "tree", "crafted"))
        if kind == "bytes":
            return _damage_bytes(name)(folder, rng)
        if kind == "member":
            return damages.damaged_member(
                folder / name, rng, lambda data: damages.damaged_bytes(data, rng)
            )
        if kind == "crafted":
            pickled = damages.crafted_pickle(rng)
            return damages.damaged_member(
                folder / name, rng, lambda data: damages.object_member(pickled)
            )
        content = {
            {"poses": "positions_3d", "views": "positions_2d"}.get(f, f): getattr(made, f)
            for f in fields
        }
        field = rng.choice(list(content))
        content[field] = damages.damaged_tree(content[field], rng)
        return h36m_files.write_npz(folder / name, **content)

    return damage


def _read_h36m(folder: Path) -> Any:
    report = check_folder(folder)
    entries = (entry.message for entry in (*report.problems, *report.remarks))
    for line in (*report.lines, *entries):
        if not line.isprintable() or len(line) > 2000:
            raise ValueError(f"a line of check-data: {line!r:.200}")
    frames = load_h36m(folder, detections="hr", subjects=("S9", "S11"))
    return frames.fingerprint, frames.sequences


# Weights


def _make_pth(name: str) -> Callable[[Path], None]:
    return lambda folder: shutil.copy(GOLDEN / "rsnet" / name, folder / "a.pth") and None


def _damage_zip(folder: Path, rng: random.Random) -> None:
    kind = rng.choice(("bytes", "member", "member", "crafted"))
    if kind == "bytes":
        return _damage_bytes("a.pth")(folder, rng)
    crafted = damages.crafted_pickle(rng) if kind == "crafted" else b""
    return damages.damaged_member(
        folder / "a.pth", rng, lambda data: crafted or damages.damaged_bytes(data, rng)
    )


def _damage_legacy(folder: Path, rng: random.Random) -> None:
    if rng.random() < 0.8:
        return _damage_bytes("a.pth")(folder, rng)
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    pickles = [*(pickle.dumps(part, 2) for part in parts), damages.crafted_pickle(rng)]
    (folder / "a.pth").write_bytes(b"".join(pickles) + pickle.dumps([], 2))
    return None


def _make_safetensors(folder: Path) -> None:
    save_safetensors(folder / "a.safetensors", load_checkpoint(GOLDEN / "e2e_tiny"))


def _damage_safetensors(folder: Path, rng: random.Random) -> None:
    if rng.random() < 0.4:
        return _damage_bytes("a.safetensors")(folder, rng)
    path = folder / "a.safetensors"
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    text = data[8 : 8 + length].decode()
    if rng.random() < 0.6:  # the metadata, which are text in text
        header = json.loads(text)
        about = header["__metadata__"]
        about["rsnet_jax"] = damages.damaged_json(about["rsnet_jax"], rng)
        text = json.dumps(header)
    elif rng.random() < 0.3:
        dtypes = ("F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "BF16", "F64", "I32", "BOOL", "C64", "X")
        text = text.replace('"F32"', f'"{rng.choice(dtypes)}"', rng.randint(1, 3))
    else:
        text = damages.damaged_json(text, rng)
    path.write_bytes(struct.pack("<Q", len(text.encode())) + text.encode() + data[8 + length :])
    return None


def _make_orbax(folder: Path) -> None:
    save_checkpoint(folder / "hr", load_checkpoint(GOLDEN / "e2e_tiny"))


def _damage_orbax(folder: Path, rng: random.Random) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    descriptions = [path for path in files if path.parent.name == "about"] * len(files)
    path = rng.choice(files + descriptions)
    try:
        text = path.read_text()
        json.loads(text)
    except ValueError:
        text = ""
    if text and rng.random() < 0.8:
        path.write_text(damages.damaged_json(text, rng))
    elif rng.random() < 0.1:
        path.unlink()
    else:
        path.write_bytes(damages.damaged_bytes(path.read_bytes(), rng))


# Settings, runs, plans


def _make_yaml(folder: Path) -> None:
    preset = load_preset(find_preset("h36m_hr"))
    save_preset(folder / "a.yaml", preset)


def _damage_yaml(name: str) -> Callable[[Path, random.Random], None]:
    def damage(folder: Path, rng: random.Random) -> None:
        if rng.random() < 0.3:
            return _damage_bytes(name)(folder, rng)
        path = folder / name
        path.write_bytes(damages.damaged_yaml(path.read_text(), rng).encode(errors="replace"))
        return None

    return damage


def _make_run(folder: Path) -> None:
    files = RunFiles(folder)
    checkpoint = load_checkpoint(GOLDEN / "e2e_tiny")
    save_preset(files.config, checkpoint.config)
    lines = [{"epoch": number, "loss": 0.5, "mpjpe": 70.0 - number} for number in (1, 2)]
    files.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for step, line in zip(STEPS, lines, strict=True):
        save_checkpoint(files.checkpoints / str(step), dataclasses.replace(checkpoint, step=step))
        path = files.checkpoints / str(step) / "about" / "metadata"
        progress = {"samples": 7, "epochs_done": line["epoch"], "epoch_seconds": 0.0, "lines": []}
        about = json.loads(path.read_text()) | {"progress": progress, "mpjpe": line["mpjpe"]}
        path.write_text(json.dumps(about))


def _damage_run(folder: Path, rng: random.Random) -> None:
    files = RunFiles(folder)
    kind = rng.choice(("config", "metrics", "checkpoint"))
    if kind == "config":
        _damage_yaml(files.config.name)(folder, rng)
    elif kind == "metrics" and rng.random() < 0.5:
        first, *rest = files.metrics.read_text().splitlines()
        files.metrics.write_text("\n".join([damages.damaged_json(first, rng), *rest]))
    elif kind == "metrics":
        _damage_bytes(files.metrics.name)(folder, rng)
    else:
        _damage_orbax(files.checkpoints / str(rng.choice(STEPS)), rng)


def _read_run(folder: Path) -> Any:
    files = RunFiles(folder)
    lines = mend_metrics(files.metrics, [], epochs_done=2)
    return load_preset(files.config), lines, _read_weights(folder)


def _make_plan(folder: Path) -> None:
    figures = CompiledFigures(**plan_figures.FIGURES)
    plan = Plan(parse_topology("v5e:2x2"), Config(), figures, None)
    (folder / "plan.json").write_text(json.dumps(as_json([plan], {})))


def _damage_plan(folder: Path, rng: random.Random) -> None:
    if rng.random() < 0.3:
        return _damage_bytes("plan.json")(folder, rng)
    path = folder / "plan.json"
    path.write_text(damages.damaged_json(path.read_text(), rng))
    return None


def _read_plan(folder: Path) -> Any:
    plans = stored_plans(folder / "plan.json")
    return [plan_lines(plan) for plan in plans], as_json(plans, {})


KINDS = {
    "npz 3D": Kind(_make_h36m, _damage_h36m("data_3d_h36m.npz", "poses"), _read_h36m),
    "npz 2D": Kind(
        _make_h36m, _damage_h36m("data_2d_h36m_hr.npz", "views", "metadata"), _read_h36m
    ),
    "pth zip": Kind(
        _make_pth("model_rsnet_3_eva_post_4711.pth"),
        _damage_zip,
        lambda folder: _read_weights(folder / "a.pth"),
    ),
    "pth legacy": Kind(
        _make_pth("model_rsnet_legacy_format.pth"),
        _damage_legacy,
        lambda folder: _read_weights(folder / "a.pth"),
    ),
    "safetensors": Kind(
        _make_safetensors,
        _damage_safetensors,
        lambda folder: _read_weights(folder / "a.safetensors"),
    ),
    "orbax": Kind(_make_orbax, _damage_orbax, lambda folder: _read_weights(folder / "hr")),
    "yaml": Kind(_make_yaml, _damage_yaml("a.yaml"), lambda folder: load_preset(folder / "a.yaml")),
    "run": Kind(_make_run, _damage_run, _read_run),
    "plan": Kind(_make_plan, _damage_plan, _read_plan),
}
