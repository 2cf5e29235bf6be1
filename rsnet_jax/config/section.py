"""The base class of every part of the configuration, and the types its fields share."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pydantic

from rsnet_jax.errors import ConfigError, quote
from rsnet_jax.files.paths import to_path
from rsnet_jax.files.plain_data import explain

Precision = Literal["highest", "default", "bfloat16"]
PRECISIONS = (
    "highest (float32), default (TF32 on a GPU, bfloat16 products on a TPU) or bfloat16 (all "
    "computation)"
)
"""The values of `Precision` in help texts."""

MOST_TOLD = 3
"""Problems of a section that one message tells."""


def _path(value: Any) -> Path:
    try:
        return to_path(value)
    except TypeError:  # which pydantic would let through
        raise ValueError("a path was wanted") from None


Names = Annotated[tuple[str, ...], pydantic.Field(strict=False)]
"""Several names; files have a list."""
AnyPath = Annotated[
    Path, pydantic.PlainValidator(_path), pydantic.PlainSerializer(str, when_used="json")
]


class Section(pydantic.BaseModel):
    """A part of the configuration. Bad values raise a one-line `ConfigError`.

    The docstring of a field is its text in `--help`.
    """

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )

    prefix: ClassVar[str] = ""

    def __init__(self, **values: Any):
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            problems = [self._explain(problem) for problem in error.errors()[:MOST_TOLD]]
            if error.error_count() > MOST_TOLD:
                problems.append(f"and {error.error_count() - MOST_TOLD} more")
            raise ConfigError("; ".join(problems)) from None

    @classmethod
    def _explain(cls, error: Any) -> str:
        field = quote(".".join(str(part) for part in error["loc"]))
        if error["type"] == "extra_forbidden":
            return f"unknown setting {cls.prefix}{field}; known: {', '.join(cls.model_fields)}"
        if not field:  # a rule about several settings was broken
            return error["msg"].removeprefix("Value error, ")
        return explain(error, prefix=cls.prefix)
