"""Which network a published file is of, where its tensors fit several: `--model NAME[:VARIANT]`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.load import load_weights, one_network
from rsnet_jax.checkpoints.members import Members
from rsnet_jax.config import settings_class
from rsnet_jax.errors import ConfigError, shown


def load_given(path: Path, **options: Any) -> Checkpoint:
    """As `load_given_weights`, but of a run with several seeds a member must be named."""
    return one_network(load_given_weights(path, **options))


def load_given_weights(
    path: Path,
    *,
    refine: Path | None = None,
    step: int | Literal["best", "latest"] | None = None,
    member: int | None = None,
    model: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Checkpoint | Members:
    """Loads weights of the network that the user names, if they name one.

    Args:
        path: see `load_checkpoint`.
        refine: see `load_checkpoint`.
        step: see `load_checkpoint`.
        member: see `load_weights`.
        model: NAME or NAME:VARIANT, see `named_network`.
        settings: further settings of a published network, which its file does not hold.

    Raises:
        ConfigError: there is no such network, or the checkpoint holds a setting that differs.
        CheckpointError: the path holds no readable weights, or those of another network.
    """
    given = dict(settings or {}) | (named_network(model) if model is not None else {})
    checkpoint = load_weights(path, refine=refine, step=step, member=member, **given)
    _check_not_ignored(given, checkpoint)
    return checkpoint


def named_network(text: str) -> dict[str, Any]:
    """The settings that NAME or NAME:VARIANT stands for.

    Raises:
        ConfigError: there is no network of that name, or no such variant of it.
    """
    name, _, choice = text.partition(":")
    kind = settings_class(name)
    if not choice:
        return {"name": name}
    if kind.variant is None:
        raise ConfigError(f"model: {name} has no variants, got {shown(text)}")
    kind(**{kind.variant: choice})  # refuses what is no choice
    return {"name": name, kind.variant: choice}


def _check_not_ignored(settings: Mapping[str, Any], checkpoint: Checkpoint | Members) -> None:
    """Raises a ConfigError if an option contradicts a setting that the checkpoint holds."""
    for name, wanted in settings.items():
        got = getattr(checkpoint.config.model, name, None)
        if got != wanted:
            option = "model" if name == "name" else name.replace("_", "-")
            raise ConfigError(
                f"{option}: {checkpoint.source} holds this setting, which is {got}, not {wanted}"
            )
