"""The published key layout of each network, both ways, as tables that account for every tensor."""

from collections.abc import Mapping
from typing import Any

from rsnet_jax.checkpoints.key_tables import rsnet, semgcn
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
}
"""The published tensors of every network, by `model.name`."""


def infer_model(tensors: Tensors, *, source: str, name: str | None = None) -> dict[str, Any]:
    """Finds out from published tensors the "name" of their network, its sizes and its "joints".

    Args:
        tensors: of a network, without a refinement.
        source: named in errors.
        name: decides if the tensors fit several networks.

    Raises:
        CheckpointError: the tensors are not those of a network in the table, or of several.
    """
    found = [known for known, table in KEY_TABLES.items() if table.recognizes(tensors)]
    if not found:
        titles = " or ".join(NETWORKS[known].settings.title for known in KEY_TABLES)
        raise CheckpointError(f"{source}: not a published {titles} (found {some(tensors)})")
    if len(found) > 1 and name not in found:
        raise CheckpointError(
            f"{source}: the tensors fit several networks; is model.name {' or '.join(found)}?"
        )
    name = name if name in found else found[0]
    return {"name": name} | KEY_TABLES[name].infer(tensors, source)
