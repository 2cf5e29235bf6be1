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

    def share_of(self, frames: int) -> Callable[[float], None]:
        """A function to call with the share of the work, 0 to 1, that is done by now.

        It tells `progress` the frames, of `frames`, that this comes to.
        """
        told = 0

        def report(share: float) -> None:
            nonlocal told
            done = round(share * frames)
            if self.progress and done > told:
                self.progress(done - told)
                told = done

        return report
