"""How poses are written and drawn."""

import dataclasses
from collections.abc import Callable
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class OutputSettings:
    """What a writer of poses may be asked for beside the poses."""

    ground: bool = False  # see `export.scene.scene_of`
    video: Path | None = None  # whose frames are drawn behind the keypoints
    person: int | None = None
    """The person to write; None for everyone. Floor and time line are those of everyone."""
    name: str = ""  # of the file when it is complete, for formats that state it
    progress: Callable[[int], object] | None = None
    """Called with the number of frames done since the last call, by writers that take long."""
