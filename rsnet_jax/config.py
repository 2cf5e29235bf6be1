"""The frozen configuration: plain, typed data that refuses nonsense when it is made."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pydantic

from rsnet_jax.errors import ConfigError

Rate = Annotated[float, pydantic.Field(ge=0, lt=1)]


def _named_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or len(set(names)) != len(names):
        raise ValueError("one or more names that differ were wanted")
    return names


Subjects = Annotated[tuple[str, ...], pydantic.AfterValidator(_named_once)]
Precision = Literal["highest", "default", "bfloat16"]


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


class DataConfig(Section):
    """The data."""

    prefix: ClassVar[str] = "data."

    dataset: Literal["synthetic", "h36m"] | None = None
    """Default: h36m where a root is given, the built-in synthetic set otherwise."""
    root: Path | None = None
    """Folder with data_3d_h36m.npz and data_2d_h36m_<detections>.npz."""
    detections: str | None = None
    """2D keypoints: hr, gt, ... for files, gt (default) or noisy for the synthetic set."""
    subjects_train: Subjects = ("S1", "S5", "S6", "S7", "S8")
    """Subjects to train on."""
    subjects_test: Subjects = ("S9", "S11")
    """Subjects to evaluate on."""
    actions: tuple[str, ...] = ()
    """Only these actions; none named means all."""
    every: Annotated[int, pydantic.Field(ge=1, lt=2**31)] = 1
    """Keep every n-th frame of a clip."""

    @pydantic.model_validator(mode="after")
    def _root_and_dataset_agree(self):
        if self.dataset == "h36m" and self.root is None:
            raise ValueError("dataset h36m needs data.root, the folder of its files")
        if self.dataset == "synthetic" and self.root is not None:
            raise ValueError("the synthetic dataset is built in and takes no data.root")
        return self

    @property
    def source(self) -> Literal["synthetic", "h36m"]:
        """The data set meant, after the default."""
        return self.dataset or ("synthetic" if self.root is None else "h36m")


class Config(Section):
    """Everything that decides a run."""

    seed: Annotated[int, pydantic.Field(ge=0, lt=2**32)] = 0
    """Of fresh weights and of the synthetic data."""
    precision: Precision = "highest"
    """Of matrix products: highest (float32), default (TF32 on a GPU, bfloat16 products on a TPU),
    bfloat16 (all computation)."""
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
