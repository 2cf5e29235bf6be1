"""The frozen configuration: plain, typed data that refuses nonsense when it is made."""

from typing import Annotated, Any, ClassVar, Literal

import pydantic

from rsnet_jax.config.networks import AnyModelConfig, HasRefinement, RSNetConfig, with_name
from rsnet_jax.config.section import AnyPath, Precision, Section
from rsnet_jax.errors import ConfigError

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


Subjects = Annotated[tuple[str, ...], pydantic.AfterValidator(_named_once)]
JointSet = Literal["h36m16", "h36m17"]
LossName = Literal["mse_l1", "mse", "mpjpe_l1"]


class DataConfig(Section):
    """The data."""

    prefix: ClassVar[str] = "data."

    dataset: Literal["synthetic", "h36m"] | None = None
    """Default: h36m where a root is given, the built-in synthetic set otherwise."""
    root: AnyPath | None = None
    """Folder with data_3d_h36m.npz and data_2d_h36m_<detections>.npz."""
    detections: str | None = None
    """2D keypoints: hr, gt, ... for files, gt (default) or noisy for the synthetic set."""
    joint_set: JointSet = "h36m16"
    """Joints of the keypoints and poses: h36m16, or h36m17, which keeps neck/nose (files only)."""
    subjects_train: Subjects = SUBJECTS_TRAIN
    """Subjects to train on."""
    subjects_test: Subjects = SUBJECTS_TEST
    """Subjects to evaluate on."""
    actions: tuple[str, ...] = ()
    """Only these actions; none named means all."""
    every: Annotated[int, pydantic.Field(ge=1, lt=2**31)] = 1
    """Keep every n-th frame of a clip."""

    @property
    def source(self) -> Literal["synthetic", "h36m"]:
        """The data set meant, after the default."""
        return self.dataset or ("synthetic" if self.root is None else "h36m")

    def check(self) -> None:
        """Raises a ConfigError unless root, data set and joint set agree.

        Not a rule of every instance: options are read before the preset that completes them.
        """
        if self.source == "h36m" and self.root is None:
            raise ConfigError("dataset h36m needs data.root, the folder of its files")
        if self.source == "synthetic" and self.root is not None:
            raise ConfigError("the synthetic dataset is built in and takes no data.root")
        if self.source == "synthetic" and self.joint_set == "h36m17":
            raise ConfigError(
                "data.joint_set h36m17: the bodies of the synthetic dataset have no neck/nose; "
                "choose h36m16, or give data.root"
            )


class TrainConfig(Section):
    """The run."""

    prefix: ClassVar[str] = "train."

    epochs: Annotated[int, pydantic.Field(ge=1)] = 30
    """Passes over the training samples."""
    mirror: bool = True
    """Train on every view as it is and mirrored; off: on every view as it is."""
    batch_size: Annotated[int, pydantic.Field(ge=1)] = 128
    """Of all devices together."""
    loss: LossName = "mse_l1"
    """Loss of the lifted pose: mse_l1 (0.9 MSE + 0.1 L1), mse (mean squared error of the
    coordinates), mpjpe_l1 (0.99 MPJPE + 0.01 L1)."""
    refine: bool = False
    """Train the refinement head along with the network."""
    absolute_symmetry: bool = False
    """Penalize differences of left and right bones by size, not signed as published."""
    validation: str = "test"
    """After each epoch, measure on data.subjects_test (test), or on this one training subject,
    which is then not trained on."""
    select: Literal["lifted", "refined"] | None = None
    """Whose MPJPE decides which checkpoint is best; default: refined where there is a head."""
    init: AnyPath | None = None
    """Start from these weights (any CHECKPOINT) with a fresh optimizer."""
    save_minutes: Annotated[float, pydantic.Field(gt=0)] = 5.0
    """Save within an epoch this often, for --resume; the end of each epoch is always saved."""

    def samples(self, views: int) -> int:
        """The samples of an epoch over so many views: the views and, with `mirror`, their images.

        Sample n + i of n views is the mirror image of view i, see `data.batches.gather`.
        """
        return 2 * views if self.mirror else views

    @property
    def selected(self) -> Literal["lifted", "refined"]:
        """The stage meant by `select`, after the default."""
        return self.select or ("refined" if self.refine else "lifted")


class OptimConfig(Section):
    """The optimizer and its learning rate.

    The learning rate falls once after each epoch (schedule `epochs`) or, whatever the length of an
    epoch, by `decay` every `decay_steps` optimizer steps (schedule `steps`).
    """

    prefix: ClassVar[str] = "optim."

    name: Literal["amsgrad", "adam"] = "amsgrad"
    """Optimizer: amsgrad (Adam with AMSGrad as torch defines it) or adam."""
    learning_rate: Annotated[float, pydantic.Field(gt=0)] = 1e-3
    """Learning rate of the first epoch, before batch-size scaling and after warm-up, if any."""
    base_batch_size: Annotated[int, pydantic.Field(ge=1)] | None = None
    """The batch size the learning rate is meant for; the rate is multiplied by train.batch_size /
    base_batch_size. Default: no scaling."""
    warmup_epochs: Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)] = 0.0
    """The rate grows evenly from step to step over so many epochs, which may be a fraction."""
    schedule: Literal["epochs", "steps"] = "epochs"
    """When the rate falls: after epochs (decay_every, large_decay, large_decay_every) or after
    optimizer steps (decay_steps)."""
    decay: Annotated[float, pydantic.Field(gt=0, le=1)] = 0.95
    """Factor after every `decay_every` epochs, or after every `decay_steps` steps."""
    decay_every: Annotated[int, pydantic.Field(ge=1)] = 1
    """Epochs between two decays; for the schedule `epochs`."""
    large_decay: Annotated[float, pydantic.Field(gt=0, le=1)] = 0.5
    """Factor used instead after every `large_decay_every` epochs; for the schedule `epochs`."""
    large_decay_every: Annotated[int, pydantic.Field(ge=0)] = 5
    """Epochs between two large decays, 0: never; for the schedule `epochs`."""
    decay_steps: Annotated[int, pydantic.Field(ge=1)] = 100_000
    """Optimizer steps between two decays; for the schedule `steps`."""
    clip_norm: Annotated[float, pydantic.Field(gt=0)] | None = None
    """Scale gradients down to this global norm if theirs is larger. Default: no clipping."""


class ParallelConfig(Section):
    """The devices, and the processes they belong to.

    TPU pods, Slurm and Open MPI tell the processes of each other; otherwise each is started with
    `coordinator`, `num_processes` and its `process_id`, which are not stored with a run.
    """

    prefix: ClassVar[str] = "parallel."

    strategy: Literal["mesh", "pmap"] = "mesh"
    """How the step is spread: jit of shard_map over a mesh, or pmap. Both give the same run."""
    devices: Annotated[int, pydantic.Field(ge=1)] | None = None
    """Use only the first so many; default: all."""
    coordinator: Annotated[str, pydantic.AfterValidator(_host_and_port)] | None = pydantic.Field(
        default=None, exclude=True
    )
    """HOST:PORT of process 0, where the others find it."""
    num_processes: Annotated[int, pydantic.Field(ge=1)] | None = pydantic.Field(
        default=None, exclude=True
    )
    """How many processes there are."""
    process_id: Annotated[int, pydantic.Field(ge=0)] | None = pydantic.Field(
        default=None, exclude=True
    )
    """Which of them this is, from 0."""
    join_seconds: Annotated[float, pydantic.Field(gt=0)] = pydantic.Field(default=300, exclude=True)
    """How long to wait for the others at the start."""


class Config(Section):
    """Everything that decides a run."""

    seed: Annotated[int, pydantic.Field(ge=0)] = 0
    """Of fresh weights, order and dropout."""
    precision: Precision = "highest"
    """Of matrix products in training: highest (float32), default (TF32 on a GPU, bfloat16 products
    on a TPU), bfloat16 (all computation)."""
    model: AnyModelConfig = RSNetConfig()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    optim: OptimConfig = OptimConfig()
    parallel: ParallelConfig = ParallelConfig()

    @pydantic.field_validator("model", mode="before")
    @classmethod
    def _model_has_a_name(cls, values: Any) -> Any:
        return with_name(values)

    @pydantic.model_validator(mode="after")
    def _sections_agree(self):
        self.data.check()
        if self.train.select == "refined" and not self.train.refine:
            raise ConfigError("train.select refined needs train.refine")
        if self.train.refine and not isinstance(self.model, HasRefinement):
            raise ConfigError(f"train.refine: {self.model.title} has no refinement")
        if self.optim.warmup_epochs > self.train.epochs:
            raise ConfigError(
                f"optim.warmup_epochs: at most train.epochs ({self.train.epochs}) was wanted, got "
                f"{self.optim.warmup_epochs:g}"
            )
        return self
