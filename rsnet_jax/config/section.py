"""The base class of every part of the configuration, and the types its fields share."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pydantic

from rsnet_jax.errors import ConfigError
from rsnet_jax.files.paths import to_path

Precision = Literal["highest", "default", "bfloat16"]


def _path(value: Any) -> Path:
    try:
        return to_path(value)
    except TypeError:  # which pydantic would let through
        raise ValueError("a path was wanted") from None


AnyPath = Annotated[
    Path, pydantic.PlainValidator(_path), pydantic.PlainSerializer(str, when_used="json")
]


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
