"""Configurations as YAML files: presets, and what a run keeps."""

from pathlib import Path

import yaml

from rsnet_jax.config.sections import Config
from rsnet_jax.errors import ConfigError
from rsnet_jax.files.paths import to_path
from rsnet_jax.files.yaml_text import read_yaml

RSNET_RECIPE = "rsnet"
"""Name of RS-Net's recipes, among which the 2D keypoints decide."""


def find_preset(name: str | Path) -> Path:
    """A preset by its path, or one that comes with the package: NAME or configs/NAME.yaml.

    Raises:
        ConfigError: there is no such preset.
    """
    path = to_path(name)
    if path.is_file():
        return path
    package = Path(__file__).parents[1]
    folders = [package / "configs", package.parent / "configs"]  # in a wheel, in a checkout
    ours = [preset for folder in folders for preset in sorted(folder.glob("*.yaml"))]
    for preset in ours:
        if str(path) in (preset.stem, preset.name, f"configs/{preset.name}"):
            return preset
    known = ", ".join(preset.stem for preset in ours)
    raise ConfigError(f"no preset {name}; there are {known}, or give the path of a .yaml file")


def load_preset(path: Path) -> Config:
    """Reads a preset.

    Raises:
        ConfigError: the file is not YAML, or holds an unknown or impossible setting.
    """
    values = read_yaml(path, error=ConfigError)
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: wanted settings (name: value), found {type(values).__name__}")
    try:
        return Config(**values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def find_recipe(name: str | Path, detections: str | None) -> Path:
    """The preset whose recipe is meant: `find_preset`, or rsnet for one of RS-Net's own.

    Args:
        name: a preset, or rsnet.
        detections: 2D keypoints to train on, by which rsnet means the recipe for ground truth (gt,
            which is also what the built-in data have by default) or that for detections.

    Raises:
        ConfigError: there is no such preset.
    """
    if str(name) != RSNET_RECIPE:
        return find_preset(name)
    return find_preset("h36m_gt" if detections in (None, "gt") else "h36m_hr")


def with_recipe(config: Config, recipe: Config) -> Config:
    """A configuration with the training of another: its sections train and optim.

    Whether a refinement is trained stays as it is: it is a part of the network.
    """
    train = recipe.train.model_copy(update={"refine": config.train.refine})
    return config.model_copy(update={"train": train, "optim": recipe.optim})


def save_preset(path: Path, config: Config) -> None:
    """Writes a configuration that `load_preset` reads."""
    path.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
