"""The environment variables by which Slurm, Open MPI and Cloud TPU describe a run."""

import importlib.util
import os


def environment() -> str | None:
    """The name of the system whose variables say that this process is one of several, or None."""
    if "SLURM_STEP_NODELIST" in os.environ and number_in("SLURM_NTASKS") > 1:
        return "Slurm"
    if number_in("OMPI_COMM_WORLD_SIZE") > 1 and "OMPI_COMM_WORLD_RANK" in os.environ:
        return "Open MPI"
    hosts = os.environ.get("TPU_PROCESS_ADDRESSES") or os.environ.get("TPU_WORKER_HOSTNAMES", "")
    if "," in hosts or number_in("MEGASCALE_NUM_SLICES") > 1:
        return "TPU pod"
    # JAX sets TPU_SKIP_MDS_QUERY when it is imported and finds no TPU.
    if importlib.util.find_spec("libtpu") and "TPU_SKIP_MDS_QUERY" not in os.environ:
        return "Cloud TPU"
    return None


def has_own_gpus() -> bool:
    """True if no other process of the run sees the GPUs that this process sees.

    That is so if it is the only process of its machine, or if Slurm gave GPUs to each process.
    """
    tasks = os.environ.get("SLURM_STEP_TASKS_PER_NODE", "")  # "1(x4)", "2,1"
    alone = tasks.split("(")[0] == "1" or os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") == "1"
    return alone or "SLURM_GPUS_PER_TASK" in os.environ


def number_in(name: str) -> int:
    """The number that an environment variable holds; 1 if it is not set or is not a number."""
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else 1
