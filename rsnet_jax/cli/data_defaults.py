"""The data set that a checkpoint is measured on unless the user names another."""

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.members import Members
from rsnet_jax.config import DataConfig
from rsnet_jax.data.mpi_inf_3dhp.scenes import MPI_INF_3DHP


def default_data(checkpoint: Checkpoint | Members, given: DataConfig) -> DataConfig:
    """The defaults of the options `--data.*`: the data that the checkpoint was trained on.

    Args:
        checkpoint: the weights.
        given: the data options that the user gives, over the defaults of `DataConfig`.
    """
    # Without a data set in the defaults, data.root decides it, from wherever the root comes.
    data = checkpoint.config.data.model_copy(update={"dataset": None})
    if given.dataset in ("synthetic", MPI_INF_3DHP) and data.source != given.dataset:
        data = DataConfig()  # the settings of one data set do not hold for another
    if given.root is not None or given.detections is not None:
        data = data.model_copy(update={"trust_order": False})  # it was said of other data
    return data
