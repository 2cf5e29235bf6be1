"""Settings that must be equal: in all processes of a run, and when a run is resumed."""

from typing import Any

import jax
from flax.traverse_util import flatten_dict

from rsnet_jax.config import Config
from rsnet_jax.errors import ConfigError

RESUMABLE_CHANGES = ("train.epochs", "data.root", "data.residency", "parallel.")
"""Beginnings of the names of settings that may change when a run is resumed."""


def fewer_devices(number: int, devices: int) -> str:
    """Advice where a `number` that cannot change does not divide among the devices."""
    most = max(count for count in range(1, devices) if number % count == 0)
    return f"a resumed run keeps it, so use fewer devices: --parallel.devices {most}"


def flat_settings(config: Config) -> dict[str, Any]:
    """The settings of a configuration by their dotted names: {"train.epochs": 30, ...}."""
    return flatten_dict(config.model_dump(mode="json"), sep=".")


def must_match_across_processes(config: Config) -> dict[str, Any]:
    """The settings, and the version of JAX, that must be equal in all processes of a run.

    `data.root` is left out: each process may find the same data in a place of its own.
    """
    settings = flat_settings(config)
    del settings["data.root"]
    return settings | {"the version of JAX": jax.__version__}


def check_same_run(before: Config, after: Config) -> None:
    """Checks that a run with the settings `before` can be resumed with the settings `after`.

    Raises:
        ConfigError: a setting differs that must not; the message names it.
    """
    old, new = (
        flat_settings(config) | {"data.dataset": config.data.source} for config in (before, after)
    )
    for name, value in old.items():
        if new[name] != value and not name.startswith(RESUMABLE_CHANGES):
            raise ConfigError(
                f"{name} was {value} and cannot become {new[name]} on --resume; only "
                "train.epochs, data.root, data.residency and parallel.* may change"
            )
