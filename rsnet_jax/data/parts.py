"""Long preparations: finished parts survive an interruption, outputs appear when all are complete.

Everything that is not finished lies in `OUT/.partial`:

    preparation.json    what is prepared from what; other work is never resumed
    parts/NAME.npz      finished parts, each written in one piece
    staged/             output files on their way
    publishing          exists while complete outputs are being moved to OUT

A preparation that is run again after an interruption takes the parts that are there. When all of
it is done, the outputs move to OUT, the manifest is written, and the folder is removed.
"""

import contextlib
import dataclasses
import json
import logging
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsnet_jax.data.manifest import (
    MANIFEST,
    Preparation,
    add_to_manifest,
    read_manifest,
    record_files,
)
from rsnet_jax.data.views.format import INDEX_FILE
from rsnet_jax.errors import DataError, OutputError, StorageError
from rsnet_jax.files.outputs import atomic_write, ensure_writable, remove_leftovers
from rsnet_jax.files.paths import is_remote, to_path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

PARTIAL = ".partial"

Arrays = Mapping[str, np.ndarray]
log = logging.getLogger(__name__)


class Workspace:
    """The unfinished work of one preparation; made by `open_workspace`."""

    def __init__(self, out: Path, preparation: Preparation):
        self.out = out
        self.preparation = preparation
        self._folder = out / PARTIAL
        self._publishing = self._folder / "publishing"

    @property
    def staged(self) -> Path:
        """The folder to write output files to; `publish` moves them to the output folder."""
        return self._folder / "staged"

    def has(self, name: str) -> bool:
        """True if a part is finished."""
        return self._part(name).is_file()

    def part(self, name: str, make: Callable[[], Arrays]) -> dict[str, np.ndarray]:
        """The arrays of a part: those stored, or else those that `make()` returns, stored now.

        Args:
            name: any text that is unique among the parts, such as "S1/Directions 1".
            make: returns arrays of numbers or text by name.
        """
        path = self._part(name)
        with contextlib.suppress(OSError, ValueError, EOFError, zipfile.BadZipFile):  # or damaged
            return _read_arrays(path)
        arrays = make()
        with atomic_write(path) as partial:
            np.savez(partial, allow_pickle=False, **arrays)
        return _read_arrays(path)

    def publish(
        self,
        *,
        counts: Mapping[str, Any],
        license: str | None = None,
        citation: str | None = None,
    ) -> None:
        """Moves the staged files, also those in folders, to the output folder and its manifest.

        Of a folder of views, the index comes last: without it the folder is not complete. See
        `rsnet_jax.data.manifest.add_to_manifest` for the arguments.
        """
        files = sorted(path for path in self.staged.rglob("*") if path.is_file())
        files.sort(key=lambda path: path.name == INDEX_FILE)
        names = [path.relative_to(self.staged).as_posix() for path in files]
        records = record_files(dict(zip(names, files, strict=True)))
        remove_leftovers(self.out / MANIFEST)
        self._publishing.touch()
        for name in names:
            (self.out / name).parent.mkdir(exist_ok=True, parents=True)
            (self.staged / name).replace(self.out / name)
        add_to_manifest(
            self.out,
            self.preparation,
            outputs=records,
            counts=counts,
            license=license,
            citation=citation,
        )
        shutil.rmtree(self._folder)

    def _part(self, name: str) -> Path:
        safe = re.sub(r"[^\w .-]", lambda match: f"%{ord(match.group()):02x}", name)
        return self._folder / "parts" / f"{safe}.npz"

    def resume(self) -> bool:
        """Opens the folder and takes over finished parts if they are of this preparation.

        Returns:
            Whether the earlier run was interrupted while it moved complete outputs.
        """
        about = self._folder / "preparation.json"
        text = json.dumps(dataclasses.asdict(self.preparation), indent=2) + "\n"
        same = about.is_file() and about.read_text() == text
        if self._folder.exists() and not same:
            log.info("%s: work on another preparation was left there; starting over", self._folder)
            shutil.rmtree(self._folder)
        shutil.rmtree(self.staged, ignore_errors=True)
        self.staged.mkdir(parents=True)
        if not same:
            with atomic_write(about) as partial:
                partial.write_text(text)
        finished = len(list(self._folder.glob("parts/[!.]*.npz")))
        if finished:
            log.info("%s: continuing; %d parts are finished", self._folder, finished)
        return self._publishing.exists()


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        return dict(stored)


@contextlib.contextmanager
def open_workspace(
    out: Path, preparation: Preparation, *, outputs: Sequence[str]
) -> Iterator[Workspace]:
    """Opens the unfinished work on `preparation` in the folder `out`, or begins it.

    The body makes parts, writes output files to `Workspace.staged` and calls `publish`. When it is
    interrupted, finished parts stay for the next run. When the source is at fault (`DataError`),
    nothing stays, since a mended source is another one.

    Args:
        out: the folder of the outputs; made if it does not exist.
        preparation: what is prepared from what.
        outputs: names of the files that will be written. None of them may exist yet.

    Raises:
        OutputError: an output exists already, the folder is remote or cannot be written to, or
            another process prepares data in it.
        DataError: the folder has a manifest that is not ours.
    """
    out = to_path(out)
    if is_remote(out):
        raise OutputError(f"{out}: a local folder was wanted; copy it when it is written")
    ensure_writable(out / MANIFEST, overwrite=True)
    read_manifest(out)
    made = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _locked(out):
            workspace = Workspace(out, preparation)
            yield from _worked_in(workspace, outputs)
    except StorageError:
        raise
    except OSError as error:
        what = error.filename or out
        raise OutputError(f"{what} cannot be written: {error.strerror or error}") from error
    finally:
        if made:
            with contextlib.suppress(OSError):  # it is not empty
                out.rmdir()


def _worked_in(workspace: Workspace, outputs: Sequence[str]) -> Iterator[Workspace]:
    """Yields the workspace when it is ready; removes it where nothing in it can be resumed."""
    folder = workspace.out / PARTIAL
    try:
        moving = workspace.resume()
        if not moving:
            for name in outputs:
                ensure_writable(workspace.out / name)
        yield workspace
    except DataError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        if not (folder / "parts").exists():  # nothing to resume
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Locks a folder for this process; where there are no locks, this does nothing."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"another process prepares data in {folder}; wait for it, or give another --out"
            ) from None
        except OSError:  # a disk without locks
            pass
        yield
    finally:
        os.close(descriptor)
