"""The sections of the configuration: frozen, typed data; impossible values are refused at once."""

from typing import Annotated, Any, ClassVar, Literal

import pydantic

from rsnet_jax.config.model_section import HasRefinement
from rsnet_jax.config.networks import AnyModelConfig, RSNetConfig, with_name
from rsnet_jax.config.section import PRECISIONS, AnyPath, Names, Precision, Section
from rsnet_jax.errors import ConfigError, quote
from rsnet_jax.pose.layouts import LAYOUTS

SUBJECTS_TRAIN = ("S1", "S5", "S6", "S7", "S8")
SUBJECTS_TEST = ("S9", "S11")
"""The split of Human3.6M, which the synthetic data follow."""


def _named_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or len(set(names)) != len(names):
        raise ValueError("one or more names that differ were wanted")
    return names


def _host_and_port(address: str) -> str:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise ValueError("HOST:PORT was wanted")
    return address


def _are_layouts(names: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := [name for name in names if name not in LAYOUTS]:
        raise ValueError(f"layouts among {', '.join(LAYOUTS)} were wanted, not {quote(unknown[0])}")
    return names


Layouts = Annotated[Names, pydantic.AfterValidator(_are_layouts)]
Subjects = Annotated[Names, pydantic.AfterValidator(_named_once)]
Count = Annotated[int, pydantic.Field(ge=1, lt=2**31)]
Residency = Literal["auto", "device", "stream"]
JointSet = Literal["h36m16", "h36m17"]
Seed = Annotated[
    int,
    pydantic.Field(
        ge=0,
        lt=2**32,  # JAX takes larger ones modulo 2**32
        description="Random seed for initial weights, sample order and dropout.",
    ),
]
TrainingPrecision = Annotated[
    Precision,
    pydantic.Field(description=f"Precision of matrix products in training: {PRECISIONS}."),
]
LossName = Literal["mse_l1", "mse", "mpjpe_l1"]


DatasetName = Literal["synthetic", "h36m", "views", "mpi_inf_3dhp"]


class DataConfig(Section):
    """The data set, and the part of it to use."""

    prefix: ClassVar[str] = "data."

    dataset: DatasetName | None = None
    """Data set: h36m (Human3.6M files in data.root), views (a folder of views, docs/data.md, in
    data.root), mpi_inf_3dhp (the file in data.root; a test set, for evaluation only) or synthetic
    (built in). Default: views if data.root holds index.json, otherwise h36m; without data.root
    synthetic."""
    root: AnyPath | None = None
    """Folder that holds data_3d_h36m.npz and data_2d_h36m_<detections>.npz, or index.json and the
    arrays of a folder of views; for mpi_inf_3dhp the folder or the file that `rsnet-jax prepare
    mpi-inf-3dhp` wrote, or PoseAug's test_3dhp.npz."""
    detections: str | None = None
    """2D keypoints: for files what their names end in (hr, gt, ...), for the synthetic data set gt
    (default) or noisy."""
    joint_set: JointSet = "h36m16"
    """Joints of keypoints and poses: h36m16 or, for Human3.6M files only, h36m17, which keeps
    neck/nose. A folder of views has joints of its own."""
    subjects_train: Subjects = SUBJECTS_TRAIN
    """Subjects to train on. A folder of views may name others to take by default."""
    subjects_test: Subjects = SUBJECTS_TEST
    """Subjects to evaluate on. A folder of views may name others to take by default."""
    actions: Names = ()
    """Actions to use. Default: all."""
    every: Count = 1
    """Stride over the frames of a clip: 1 uses all, 2 every second frame, and so on."""
    residency: Residency = "auto"
    """Place of the data during a run: device (a copy on every device), stream (read in parts from
    host memory or disk as they are needed) or auto (device if they take at most a quarter of a
    device's memory). Results do not depend on it."""
    trust_order: bool = False
    """Go on, with a warning, where the projection of the 3D poses says that the keypoints are in
    another joint order, or belong to another camera, clip or time. Otherwise this is an error."""

    @property
    def source(self) -> DatasetName:
        """The value of `dataset`, or its default; h36m stands for any files not looked at yet."""
        return self.dataset or ("synthetic" if self.root is None else "h36m")

    def check(self) -> None:
        """Raises a ConfigError unless root, data set and joint set agree.

        Not a rule of every instance: options are read before the preset that completes them.
        """
        if self.source != "synthetic" and self.root is None:
            raise ConfigError(f"dataset {self.source} needs data.root, the folder of its files")
        if self.source == "synthetic" and self.root is not None:
            raise ConfigError("the synthetic dataset is built in and takes no data.root")
        if self.source == "synthetic" and self.joint_set == "h36m17":
            raise ConfigError(
                "data.joint_set h36m17: the bodies of the synthetic dataset have no neck/nose; "
                "choose h36m16, or give data.root"
            )
        if self.source == "views" and self.joint_set == "h36m17":
            raise ConfigError(
                "data.joint_set h36m17: a folder of views has joints of its own; leave it out"
            )
        if self.source == "mpi_inf_3dhp":
            self._require_whole_set()

    def _require_whole_set(self) -> None:
        """Raises a ConfigError if a setting asks for a part of MPI-INF-3DHP, or for more."""
        if self.detections not in (None, "gt"):
            raise ConfigError(
                f"data.detections: mpi_inf_3dhp has gt keypoints only, not {self.detections}"
            )
        for name in ("joint_set", "subjects_train", "subjects_test", "actions", "every"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ConfigError(
                    f"data.{name}: mpi_inf_3dhp is measured whole, in its 16 joints; leave it out"
                )

    def require_training_split(self) -> None:
        """Raises a ConfigError if the data set has nothing to train on."""
        if self.source == "mpi_inf_3dhp":
            raise ConfigError(
                "data.dataset mpi_inf_3dhp is a test set: train on h36m, then evaluate on it"
            )


class TrainConfig(Section):
    """The training run."""

    prefix: ClassVar[str] = "train."

    epochs: Annotated[int, pydantic.Field(ge=1, le=100_000)] = 30
    """Passes over the training samples."""
    mirror: bool = True
    """Train on each view and its mirror image; otherwise on each view only."""
    batch_size: Count = 128
    """Global batch size, over all devices."""
    seeds: Annotated[int, pydantic.Field(ge=1, le=4096)] = 1
    """Runs side by side in one program, with the seeds seed, seed + 1, ...: each is the run that it
    would be alone, with a batch of train.batch_size of its own. Several devices share the seeds out
    and must divide their number."""
    loss: LossName = "mse_l1"
    """Loss of the lifted pose: mse_l1 (0.9 MSE + 0.1 L1), mse (mean squared error of the
    coordinates), mpjpe_l1 (0.99 MPJPE + 0.01 L1)."""
    occlusion: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.0
    """Share of the samples of which limbs and single keypoints are hidden; needs
    model.input_channels 3."""
    layouts: Layouts = ()
    """Layouts of detectors to train for: each sample keeps the keypoints that one of them, drawn at
    random, has. Default: all keypoints. Needs model.input_channels 3."""
    refine: bool = False
    """Train the refinement together with the network."""
    absolute_symmetry: bool = False
    """Take the differences between left and right bone lengths without their signs in the loss of
    the refinement; the published loss has signed ones."""
    validation: str = "test"
    """Data to measure on after each epoch: test (data.subjects_test), or the name of one training
    subject, which is then left out of training."""
    select: Literal["lifted", "refined"] | None = None
    """Pose whose MPJPE decides which checkpoint is the best: lifted or refined. Default: refined if
    there is a refinement, otherwise lifted."""
    init: AnyPath | None = None
    """Weights to start from, with a fresh optimizer: whatever `rsnet-jax evaluate` takes as
    CHECKPOINT."""
    save_minutes: Annotated[float, pydantic.Field(gt=0)] = 5.0
    """Minutes between two saves within an epoch, for --resume; its end is always saved."""

    def samples(self, views: int) -> int:
        """The samples of an epoch over so many views: the views and, with `mirror`, their images.

        Sample n + i of n views is the mirror image of view i, see `data.batches.gather`.
        """
        return 2 * views if self.mirror else views

    @property
    def selected(self) -> Literal["lifted", "refined"]:
        """The value of `select`, or its default."""
        return self.select or ("refined" if self.refine else "lifted")


class OptimConfig(Section):
    """The optimizer and its learning rate.

    The learning rate falls after epochs (schedule epochs: every decay_every epochs it is multiplied
    by decay or, every large_decay_every epochs, by large_decay), after optimizer steps (schedule
    steps: every decay_steps steps it is multiplied by decay), or with every step from the first to
    the last (schedule cosine: half a period of a cosine, down to 0).
    """

    prefix: ClassVar[str] = "optim."

    name: Literal["amsgrad", "adam"] = "amsgrad"
    """Optimizer: amsgrad (Adam with AMSGrad as torch defines it) or adam."""
    learning_rate: Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)] = 1e-3
    """Learning rate of the first epoch, before batch-size scaling and after warm-up, if any."""
    base_batch_size: Count | None = None
    """Batch size that the learning rate is meant for: the rate is multiplied by train.batch_size /
    optim.base_batch_size. Default: no scaling."""
    warmup_epochs: Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)] = 0.0
    """Epochs, or a fraction of one, over which the learning rate rises linearly at the start."""
    schedule: Literal["epochs", "steps", "cosine"] = "epochs"
    """Schedule by which the learning rate falls: after epochs, or after optimizer steps."""
    decay: Annotated[float, pydantic.Field(gt=0, le=1)] = 0.95
    """Factor by which the learning rate is multiplied each time it falls."""
    decay_every: Count = 1
    """Epochs after which the learning rate falls (schedule epochs)."""
    large_decay: Annotated[float, pydantic.Field(gt=0, le=1)] = 0.5
    """Factor in place of optim.decay after every large_decay_every epochs (schedule epochs)."""
    large_decay_every: Annotated[int, pydantic.Field(ge=0, lt=2**31)] = 5
    """Epochs after which the learning rate falls by large_decay, 0 for never (schedule epochs)."""
    decay_steps: Count = 100_000
    """Optimizer steps after which the learning rate falls (schedule steps)."""
    clip_norm: Annotated[float, pydantic.Field(gt=0)] | None = None
    """Largest global norm of the gradients; larger gradients are scaled down to it. Default: no
    limit."""


class ParallelConfig(Section):
    """The devices and processes of the run.

    On TPU pods and under Slurm or Open MPI the processes find each other. Elsewhere each process
    is started with coordinator, num_processes and its own process_id. These options are not stored
    with a run.
    """

    prefix: ClassVar[str] = "parallel."

    strategy: Literal["mesh", "pmap"] = "mesh"
    """Way to distribute a step over the devices: mesh (jit of shard_map over a mesh) or pmap; both
    give the same run."""
    devices: Count | None = None
    """Number of devices to use. Default: all."""
    coordinator: Annotated[str, pydantic.AfterValidator(_host_and_port)] | None = pydantic.Field(
        default=None, exclude=True
    )
    """Address HOST:PORT of process 0, at which the other processes find it."""
    num_processes: Count | None = pydantic.Field(default=None, exclude=True)
    """Number of processes of the run."""
    process_id: Annotated[int, pydantic.Field(ge=0, lt=2**31)] | None = pydantic.Field(
        default=None, exclude=True
    )
    """Number of this process among them, from 0."""
    join_seconds: Annotated[float, pydantic.Field(gt=0, le=7 * 24 * 3600)] = pydantic.Field(
        default=300, exclude=True
    )
    """Seconds to wait at the start until all processes are there."""


class Config(Section):
    """Everything that decides a run."""

    seed: Seed = 0
    precision: TrainingPrecision = "highest"
    model: AnyModelConfig = RSNetConfig()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    optim: OptimConfig = OptimConfig()
    parallel: ParallelConfig = ParallelConfig()

    @property
    def seeds(self) -> range:
        """The seeds of the runs side by side: `train.seeds` of them."""
        return range(self.seed, self.seed + self.train.seeds)

    def of_seed(self, seed: int) -> "Config":
        """The configuration of the run with one of the seeds, alone."""
        train = self.train.model_copy(update={"seeds": 1})
        return self.model_copy(update={"seed": seed, "train": train})

    @pydantic.field_validator("model", mode="before")
    @classmethod
    def _model_has_a_name(cls, values: Any) -> Any:
        return with_name(values)

    @pydantic.model_validator(mode="after")
    def _sections_agree(self):
        self.data.check()
        self.data.require_training_split()
        if self.train.select == "refined" and not self.train.refine:
            raise ConfigError("train.select refined needs train.refine")
        if self.train.refine and not isinstance(self.model, HasRefinement):
            raise ConfigError(f"train.refine: {self.model.title} has no refinement")
        hides = self.train.occlusion or self.train.layouts
        if hides and not self.model.takes_confidence:
            raise ConfigError(
                "train.occlusion and train.layouts need model.input_channels 3, which tells the "
                "network what is missing"
            )
        if self.train.seeds > 1 and self.data.residency == "stream":
            raise ConfigError(
                "train.seeds: runs side by side need the training data on the devices; "
                "data.residency stream is for one run"
            )
        if self.seeds[-1] >= 2**32:
            raise ConfigError(
                f"train.seeds: the last of {self.train.seeds} seeds from {self.seed} on would be "
                f"{self.seeds[-1]}, at most 2**32 - 1 was wanted"
            )
        if self.optim.warmup_epochs > self.train.epochs:
            raise ConfigError(
                f"optim.warmup_epochs: at most train.epochs ({self.train.epochs}) was wanted, got "
                f"{self.optim.warmup_epochs:g}"
            )
        return self
