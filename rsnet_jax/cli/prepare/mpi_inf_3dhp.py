"""`rsnet-jax prepare mpi-inf-3dhp`: writes the test set of MPI-INF-3DHP as one file."""

from collections.abc import Sequence
from pathlib import Path

from rsnet_jax import __version__
from rsnet_jax.cli.options import CommandOptions, Debug
from rsnet_jax.cli.parsing import parse
from rsnet_jax.cli.tables import prose
from rsnet_jax.config.section import AnyPath
from rsnet_jax.data.manifest import Preparation, record_files
from rsnet_jax.data.mpi_inf_3dhp.check import count_remarks, counts_of
from rsnet_jax.data.mpi_inf_3dhp.official import Annotation, annotation_files, read_official
from rsnet_jax.data.mpi_inf_3dhp.read import PREPARED
from rsnet_jax.data.mpi_inf_3dhp.spin import read_spin
from rsnet_jax.data.mpi_inf_3dhp.write import write_pose_table
from rsnet_jax.data.parts import open_workspace
from rsnet_jax.errors import ConfigError, DataError

CITATION = (
    "Mehta et al., Monocular 3D Human Pose Estimation In The Wild Using Improved CNN Supervision, "
    "3DV 2017"
)


class MpiInf3dhpOptions(CommandOptions):
    """Writes the test set of MPI-INF-3DHP as data_mpi_inf_3dhp.npz: 16 joints per annotated frame,
    in 2D and 3D, with sequence, frame and scene. `rsnet-jax evaluate` reads the file.

    PoseAug's test_3dhp.npz needs no preparation.
    """

    source: AnyPath | None = None
    """SPIN's mpi_inf_3dhp_valid.npz, or the official test set: the folder that holds
    TS1/annot_data.mat to TS6/annot_data.mat."""
    out: AnyPath = Path("dataset/mpi_inf_3dhp")
    """Folder to write the file to."""
    poses: Annotation | None = None
    """3D poses to take from the official test set: univ_annot3 (scaled to a common height, as
    PoseAug has them; the default) or annot3 (people as they are)."""
    debug: Debug = False


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses the options, reads and checks the source, writes the file."""
    options = parse(MpiInf3dhpOptions, argv, prog=prog, default=MpiInf3dhpOptions())
    if options.source is None:
        raise ConfigError(
            "which --source? Give mpi_inf_3dhp_valid.npz of SPIN, or the folder of the official "
            "test set"
        )
    annotation = options.poses or "univ_annot3"
    if options.source.is_dir():
        files = annotation_files(options.source)
    elif options.poses is not None:
        raise ConfigError(f"poses: {options.poses} is chosen in the official test set only")
    elif not options.source.exists():
        raise DataError(f"{options.source}: no such file or folder")
    else:
        files = {options.source.name: options.source}
    preparation = Preparation(
        command="prepare mpi-inf-3dhp",
        version=__version__,
        options={"poses": annotation},
        sources=record_files(files),
    )
    with open_workspace(options.out, preparation, outputs=[PREPARED]) as workspace:
        if options.source.is_dir():
            table = read_official(options.source, annotation=annotation)
        else:
            table = read_spin(options.source)
        write_pose_table(workspace.staged / PREPARED, table)
        counts = counts_of(table)
        workspace.publish(counts=counts, citation=CITATION)
    print(f"wrote {len(table.frame):,} frames to {options.out / PREPARED}")
    for name, count in counts.items():
        print(f"  {name:<5}{table.scenes[table.sequences.index(name)]:<10}{count:>5,}")
    for remark in count_remarks(counts):
        print(prose(f"Note: {remark}."))
    print(prose(f"please cite: {CITATION}"))
    print(
        f"try: rsnet-jax evaluate CHECKPOINT --data.dataset mpi_inf_3dhp --data.root {options.out}"
    )
