"""The weights that come with the package, by their names."""

from pathlib import Path

from rsnet_jax.files.paths import to_path

FOLDER = Path(__file__).parents[1] / "weights"
POSE26 = "pose26"
"""A network for the keypoints of any detector; docs/pose26.md is its card."""


def bundled_names() -> tuple[str, ...]:
    """The names by which weights of the package can be asked for."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.safetensors")))


def bundled_file(name: str | Path, suffix: str = ".safetensors") -> Path | None:
    """The file of the package's weights of this name; None if `name` is a path or no such name.

    A file or folder of the user that has this name comes first. With the suffix `.onnx` it is what
    `rsnet-jax export --flip-test` made of the weights, which runs without JAX.
    """
    text = str(name)
    if text not in bundled_names() or to_path(name).exists():
        return None
    return FOLDER / f"{text}{suffix}"
