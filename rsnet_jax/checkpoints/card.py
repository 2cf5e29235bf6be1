"""What users of shipped weights should know: where they come from, and how good they are."""

from typing import Annotated

import pydantic

from rsnet_jax.files.plain_data import Fields

Texts = Annotated[tuple[str, ...], pydantic.Field(strict=False)]


class ModelCard(Fields):
    """The model card of weights, kept in the metadata of their file."""

    data: str  # what they were trained on
    license: str  # of the data and of the weights
    citation: str  # that the data ask for
    commands: Texts  # that made them
    errors: dict[str, float]
    """What was measured on performers held out -> millimeters, or a share."""
    not_for: Texts  # what they are not good for

    @property
    def facts(self) -> dict[str, str]:
        """The card as `rsnet-jax info` prints it: a name and a text per line."""
        errors = (f"{name} {figure:g}" for name, figure in self.errors.items())
        return {
            "data": self.data,
            "license": self.license,
            "cite": self.citation,
            "made by": "; ".join(self.commands),
            "errors": ", ".join(errors),
            "not for": "; ".join(self.not_for),
        }
