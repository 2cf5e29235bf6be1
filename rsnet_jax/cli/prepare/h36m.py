"""`rsnet-jax prepare h36m`: turns a download of Human3.6M into the files that the field uses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rsnet_jax import __version__
from rsnet_jax.cli.options import CommandOptions, Debug
from rsnet_jax.cli.parsing import parse
from rsnet_jax.cli.tables import prose
from rsnet_jax.config.section import AnyPath
from rsnet_jax.data.h36m.download.prepare import CITATION, LICENSE, prepare_h36m
from rsnet_jax.errors import ConfigError
from rsnet_jax.files.paths import is_remote


class H36MOptions(CommandOptions):
    """Turns a download of Human3.6M into data_3d_h36m.npz and data_2d_h36m_gt.npz, and 2D
    keypoints that others have detected into data_2d_h36m_NAME.npz.
    """

    source: tuple[AnyPath, ...] = ()
    """The download: h36m.zip, folders or archives (.zip, .tgz, .tar) with the official .cdf files,
    or the same converted to .cdf.mat. Which of these it is, is found out. Without it, --out must
    hold data_3d_h36m.npz, and --detections alone are converted."""
    detections: tuple[AnyPath, ...] = ()
    """Files of detected 2D keypoints: the .npz files of VideoPose3D (data_2d_h36m_NAME.npz), or
    twoDPose_HRN_train.npy and twoDPose_HRN_test.npy of EvoSkeleton, which become NAME hr."""
    joint_set: Literal["h36m16", "h36m17"] = "h36m16"
    """Joints of the 2D files that are written: h36m16, or h36m17 with neck/nose. Files of h36m17
    can be read with both values of --data.joint-set, but not by the official code."""
    trust_order: bool = False
    """Write detections, with a remark, where the projection of the 3D poses says that they are in
    another joint order, or belong to another camera, clip or time. Otherwise this is an error."""
    out: AnyPath = Path("dataset")
    """Folder to write the files to; those that exist are not overwritten."""
    debug: Debug = False


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses the options, converts the files, says what was written and what is missing."""
    options = parse(H36MOptions, argv, prog=prog, default=H36MOptions())
    if not options.source and not options.detections:
        raise ConfigError("what from? Give --source PATH (h36m.zip, ...) or --detections PATH")
    for path in (*options.source, *options.detections):
        if is_remote(path):
            raise ConfigError(f"{path}: a local path was wanted; copy it to this machine first")
    done = prepare_h36m(
        options.source,
        detections=options.detections,
        out=options.out,
        joint_set=options.joint_set,
        trust_order=options.trust_order,
        version=__version__,
    )
    for remark in done.remarks:
        print(prose(f"remark: {remark}", indent=2))
    counts = done.counts
    if options.source:
        print(
            f"{counts['subjects']} subjects, {counts['clips']} clips, {counts['frames']:,} frames, "
            "four views each"
        )
    print(prose(f"wrote {', '.join(done.outputs)} to {options.out}", indent=2))
    print(prose(LICENSE, indent=2))
    print(prose(f"cite: {CITATION}", indent=2))
    print(f"try: rsnet-jax check-data {options.out}")
