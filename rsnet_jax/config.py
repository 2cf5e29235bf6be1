"""The frozen configuration: plain, typed data that refuses nonsense when it is made."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pydantic
import yaml

from rsnet_jax.errors import ConfigError
from rsnet_jax.files.paths import to_path

SUBJECTS_TRAIN = ("S1", "S5", "S6", "S7", "S8")
SUBJECTS_TEST = ("S9", "S11")
"""The split of Human3.6M, which the synthetic data follow."""

Rate = Annotated[float, pydantic.Field(ge=0, lt=1)]


def _named_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or len(set(names)) != len(names):
        raise ValueError("one or more names that differ were wanted")
    return names


def _host_and_port(address: str) -> str:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise ValueError("HOST:PORT was wanted")
    return address


def _path(value: Any) -> Path:
    try:
        return to_path(value)
    except TypeError:  # which pydantic would let through
        raise ValueError("a path was wanted") from None


AnyPath = Annotated[
    Path, pydantic.PlainValidator(_path), pydantic.PlainSerializer(str, when_used="json")
]
Subjects = Annotated[tuple[str, ...], pydantic.AfterValidator(_named_once)]
Precision = Literal["highest", "default", "bfloat16"]
JointSet = Literal["h36m16", "h36m17"]


class Section(pydantic.BaseModel):
    """A part of the configuration. Bad values raise a one-line `ConfigError`."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    prefix: ClassVar[str] = ""

    def __init__(self, **values: Any):
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            raise ConfigError("; ".join(self._explain(e) for e in error.errors())) from None

    @classmethod
    def _explain(cls, error: Any) -> str:
        field = ".".join(str(part) for part in error["loc"])
        if error["type"] == "extra_forbidden":
            return f"unknown setting {cls.prefix}{field}; known: {', '.join(cls.model_fields)}"
        if not field:  # of a rule about several settings
            return error["msg"].removeprefix("Value error, ")
        wanted = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
        return f"{cls.prefix}{field}: {wanted}, got {error['input']!r}"


class ModelConfig(Section):
    """The network."""

    prefix: ClassVar[str] = "model."

    width: Annotated[int, pydantic.Field(ge=1)] = 96
    """Channels of one hop; layers carry hops * width. Published: 96 (detected 2D), 64 (true 2D)."""
    dropout: Rate = 0.2
    """Of the blocks, in training."""
    blocks: Annotated[int, pydantic.Field(ge=1)] = 4
    """Residual pairs of graph convolutions."""
    hops: Annotated[int, pydantic.Field(ge=1)] = 4
    """Powers of the adjacency, hop 0 (the joint itself) included."""
    double_gelu: bool = True
    """Apply GELU twice a block as the published network does, in evaluation too."""
    refine_hidden: Annotated[int, pydantic.Field(ge=1)] = 1024
    """Hidden units of the refinement head, where there is one."""
    refine_dropout: Rate = 0.5
    """Of the refinement head, in training."""

    @pydantic.field_validator("dropout", "refine_dropout")
    @classmethod
    def _drops_something(cls, rate: float) -> float:
        if rate and not 1 / 512 <= rate <= 511 / 512:
            raise ValueError("0, or a rate from 1/512 to 511/512 (masks have 256 levels) is wanted")
        return rate

    @pydantic.model_validator(mode="after")
    def _has_channels_to_halve(self):
        if self.hops * self.width < 2:
            raise ValueError("model.width * model.hops must be at least 2 channels, got 1")
        return self


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
    """Passes over the data; each holds every view as it is and mirrored."""
    batch_size: Annotated[int, pydantic.Field(ge=1)] = 128
    """Of all devices together."""
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

    @property
    def selected(self) -> Literal["lifted", "refined"]:
        """The stage meant by `select`, after the default."""
        return self.select or ("refined" if self.refine else "lifted")


class OptimConfig(Section):
    """AMSGrad as torch defines it; the rate is multiplied once after each epoch."""

    prefix: ClassVar[str] = "optim."

    learning_rate: Annotated[float, pydantic.Field(gt=0)] = 1e-3
    """Of the first epoch, before scaling and after warm-up, if any."""
    base_batch_size: Annotated[int, pydantic.Field(ge=1)] | None = None
    """The batch size the learning rate is meant for; the rate is multiplied by train.batch_size /
    base_batch_size. Default: no scaling."""
    warmup_epochs: Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)] = 0.0
    """The rate grows evenly from step to step over so many epochs, which may be a fraction."""
    decay: Annotated[float, pydantic.Field(gt=0, le=1)] = 0.95
    """Factor after every `decay_every` epochs."""
    decay_every: Annotated[int, pydantic.Field(ge=1)] = 1
    large_decay: Annotated[float, pydantic.Field(gt=0, le=1)] = 0.5
    """Factor used instead after every `large_decay_every` epochs."""
    large_decay_every: Annotated[int, pydantic.Field(ge=0)] = 5
    """0: never."""


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
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    optim: OptimConfig = OptimConfig()
    parallel: ParallelConfig = ParallelConfig()

    @pydantic.model_validator(mode="after")
    def _sections_agree(self):
        self.data.check()
        if self.train.select == "refined" and not self.train.refine:
            raise ConfigError("train.select refined needs train.refine")
        if self.optim.warmup_epochs > self.train.epochs:
            raise ConfigError(
                f"optim.warmup_epochs: at most train.epochs ({self.train.epochs}) was wanted, got "
                f"{self.optim.warmup_epochs:g}"
            )
        return self


def find_preset(name: str | Path) -> Path:
    """A preset by its path, or one that comes with the package: NAME or configs/NAME.yaml.

    Raises:
        ConfigError: there is none.
    """
    path = to_path(name)
    if path.is_file():
        return path
    package = Path(__file__).parent
    folders = [package / "configs", package.parent / "configs"]  # of a wheel, of a checkout
    ours = [preset for folder in folders for preset in sorted(folder.glob("*.yaml"))]
    for preset in ours:
        if str(path) in (preset.stem, preset.name, f"configs/{preset.name}"):
            return preset
    known = ", ".join(preset.stem for preset in ours)
    raise ConfigError(f"no preset {name}; there are {known}, or give the path of a .yaml file")


def load_preset(path: Path) -> Config:
    """Reads a preset.

    Raises:
        ConfigError: the file is not YAML, or holds an unknown or impossible setting.
    """
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: not readable YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: wanted settings (name: value), found {type(values).__name__}")
    try:
        return Config(**values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def save_preset(path: Path, config: Config) -> None:
    """Writes a configuration that `load_preset` reads."""
    path.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
