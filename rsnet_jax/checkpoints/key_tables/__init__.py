"""The published key layout of each network, both ways, as tables that account for every tensor."""

from collections.abc import Mapping, Sequence
from typing import Any

from rsnet_jax.checkpoints.key_tables import (
    hgcn,
    hoif,
    modulated_gcn,
    rsnet,
    semgcn,
    weight_unsharing,
)
from rsnet_jax.checkpoints.key_tables.entry import (
    Entry,
    KeyTable,
    Tensors,
    some,
    to_ours,
    to_published,
)
from rsnet_jax.checkpoints.key_tables.refinement import infer_hidden, refine_table
from rsnet_jax.checkpoints.key_tables.rsnet import rsnet_table
from rsnet_jax.errors import CheckpointError
from rsnet_jax.models.build import NETWORKS

__all__ = [
    "KEY_TABLES",
    "Entry",
    "infer_hidden",
    "infer_model",
    "refine_table",
    "rsnet_table",
    "to_ours",
    "to_published",
]

KEY_TABLES: Mapping[str, KeyTable] = {
    "rsnet": rsnet.KEY_TABLE,
    "semgcn": semgcn.KEY_TABLE,
    "hgcn": hgcn.KEY_TABLE,
    "weight_unsharing": weight_unsharing.KEY_TABLE,
    "modulated_gcn": modulated_gcn.KEY_TABLE,
    "modulated_gcn_detected": modulated_gcn.DETECTED_KEY_TABLE,
    "hoif": hoif.KEY_TABLE,
}
"""The published tensors of every network, by `model.name`."""


def infer_model(
    tensors: Tensors, *, source: str, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Finds out from published tensors the "name" of their network, its sizes and its "joints".

    Args:
        tensors: of a network, without a refinement.
        source: named in errors.
        given: settings that are known already. A "name" must be that of the tensors, and others
            decide what the tensors leave open.

    Raises:
        CheckpointError: the tensors are not those of a network in the table or of the given one,
            or fit several.
    """
    given = given or {}
    name = given.get("name")
    if name is None:
        found = [known for known, table in KEY_TABLES.items() if not table.difference(tensors)]
        if not found:
            titles = " or ".join(NETWORKS[known].settings.title for known in KEY_TABLES)
            raise CheckpointError(f"{source}: not a published {titles} (found {some(tensors)})")
        if len(found) > 1:
            raise _ambiguous(source, found)
        name = found[0]
    elif difference := KEY_TABLES[name].difference(tensors):
        title = NETWORKS[name].settings.title
        raise CheckpointError(f"{source}: not a published {title}: {difference}")
    for setting, choices in KEY_TABLES[name].undecided(tensors).items():
        if setting not in given:
            raise _ambiguous(source, [f"{name}:{choice}" for choice in choices])
        if given[setting] not in choices:
            raise CheckpointError(
                f"{source}: the tensors are of model.{setting} {' or '.join(choices)}, not "
                f"{given[setting]}"
            )
    return {"name": name} | KEY_TABLES[name].infer(tensors, source)


def _ambiguous(source: str, choices: Sequence[str]) -> CheckpointError:
    models = " or ".join(f"--model {choice}" for choice in choices)
    return CheckpointError(
        f"{source}: its tensors alone do not tell which network it is; say so: {models}"
    )
