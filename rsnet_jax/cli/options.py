"""Options of commands: frozen pydantic classes, and the options that several commands share."""

import math
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import pydantic
import tyro

from rsnet_jax.config import PRECISIONS, ModelConfig, Precision, RSNetConfig
from rsnet_jax.config.section import AnyPath, Section

Model = TypeVar("Model", bound=ModelConfig)
"""The settings of the network among the options of a command."""
DEFAULT_MODEL: Any = RSNetConfig
"""The settings class of the network if neither the options nor their defaults name one."""


class CommandOptions(Section):
    """The options of a command. Bad values raise a one-line `ConfigError`.

    The docstring of the class is the text at the top of `--help`; the docstring of a field, or the
    description in its type, is the text of its option.
    """

    @classmethod
    def _explain(cls, error: Any) -> str:
        if error["type"] != "value_error" or not error["loc"]:
            return super()._explain(error)
        option = error["loc"][0].replace("_", "-")
        return f"{option}: {error['ctx']['error']}, not {error['input']}"


def wanted(text: str, is_good: Callable[[Any], bool]) -> pydantic.AfterValidator:
    """A check of an option: values for which `is_good` is false are refused with `text`."""

    def check(value: Any) -> Any:
        if not is_good(value):
            raise ValueError(text)
        return value

    return pydantic.AfterValidator(check)


def described(text: str) -> Any:
    """The help text of an option, as part of its type."""
    return pydantic.Field(description=text)


AtLeastOne = Annotated[int, wanted("at least 1 was wanted", lambda value: value >= 1)]
Positive = Annotated[
    float, wanted("a positive number was wanted", lambda value: 0 < value < math.inf)
]
Size = Annotated[
    str,
    wanted(
        "WIDTHxHEIGHT was wanted, such as 1920x1080",
        lambda text: bool(re.fullmatch(r"[1-9]\d{0,5}x[1-9]\d{0,5}", text)),
    ),
]
"""The size of an image, see `size_of`."""
RandomSeed = Annotated[int, wanted("0 to 2**32 - 1 was wanted", lambda value: 0 <= value < 2**32)]

CheckpointPath = Annotated[
    AnyPath | None,
    tyro.conf.Positional,
    tyro.conf.arg(metavar="CHECKPOINT"),
    described(
        "Weights to read: the folder of a run, a folder that `rsnet-jax convert` made, a "
        ".safetensors file, a published network (.pth or .pth.tar), a folder of published .pth "
        "files, or pose26, which comes with the package. Give it before the options."
    ),
]
RefinementPath = Annotated[
    AnyPath | None,
    described("Published refinement (.pth) that goes with a published network."),
]
Step = Annotated[
    int | Literal["best", "latest"] | None,
    described(
        "Checkpoint of a run to take: best (the one with the lowest validation MPJPE), latest, or "
        "a number of optimizer steps. Default: best."
    ),
]
MemberNumber = Annotated[
    Annotated[int, wanted("at least 0 was wanted", lambda value: value >= 0)] | None,
    described(
        "Network of a run with several seeds (train.seeds) to take: 0 is that of the first seed."
    ),
]
GivenNetwork = Annotated[
    str | None,
    described(
        "Network of a published file: NAME, or NAME:VARIANT where the network has variants. Needed "
        "only where the tensors fit several; a file of another network is refused."
    ),
]
MatmulPrecision = Annotated[Precision, described(f"Precision of matrix products: {PRECISIONS}.")]
JsonFile = Annotated[
    AnyPath | None,
    tyro.conf.arg(name="json"),
    described("JSON file to write all figures to."),
]
Overwrite = Annotated[bool, described("Replace output files that exist.")]
Debug = Annotated[bool, described("Print the traceback of an error, too.")]


def size_of(text: str | None) -> tuple[int, int] | None:
    """Width and height of an option of the type `Size`."""
    if text is None:
        return None
    width, height = map(int, text.split("x"))
    return width, height
