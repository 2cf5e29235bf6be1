"""`manifest.json` beside prepared data: what was made from what, by which command.

A folder can hold the files of several preparations; the manifest has an entry for each. It has
neither dates nor absolute paths, so that the same preparation always gives the same manifest.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import tqdm

from rsnet_jax.errors import DataError
from rsnet_jax.files.json_text import read_json
from rsnet_jax.files.outputs import atomic_write
from rsnet_jax.files.plain_data import DATA, Fields, read_fields

MANIFEST = "manifest.json"
_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class FileRecord:
    """A file: its name (relative to the folder of the source or output), size and checksum."""

    name: str
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Preparation:
    """What is prepared from what. Equal preparations, as JSON, give equal files."""

    command: str  # "prepare h36m"
    version: str  # of this package
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Those options that change the result, as values that JSON has."""
    sources: Sequence[FileRecord] = ()


def record_files(named: Mapping[str, Path]) -> tuple[FileRecord, ...]:
    """Sizes and checksums of files, with a progress bar where that takes long.

    Args:
        named: name to record -> file.

    Raises:
        DataError: a file cannot be read; the message names it.
    """
    try:
        total = sum(path.stat().st_size for path in named.values())
        bar = tqdm.tqdm(
            desc="reading sources",
            total=total,
            unit="B",
            unit_scale=True,
            leave=False,
            delay=1,
            disable=None,
        )
        with bar:
            return tuple(_record(name, path, bar) for name, path in named.items())
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error


def _record(name: str, path: Path, bar: tqdm.tqdm) -> FileRecord:
    checksum, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            checksum.update(chunk)
            size += len(chunk)
            bar.update(len(chunk))
    return FileRecord(name, size, checksum.hexdigest())


class _File(Fields):
    name: str
    bytes: int
    sha256: str


class _Entry(Fields):
    command: str
    version: str
    options: dict[str, Any]
    sources: list[_File]
    counts: dict[str, Any]
    outputs: list[_File]
    license: str | None
    citation: str | None


class _Manifest(Fields):
    format: Literal["rsnet_jax.manifest"]
    version: Literal[1]
    prepared: list[_Entry]


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """The entries of a folder's manifest, the oldest first; none if it has no manifest.

    Raises:
        DataError: there is a manifest.json that is not one of ours.
    """
    path = folder / MANIFEST
    if not path.exists():
        return []
    stored = read_json(path, error=DataError, limits=DATA)
    manifest = read_fields(_Manifest, stored, name=str(path), error=DataError)
    return [entry.model_dump() for entry in manifest.prepared]


def add_to_manifest(
    folder: Path,
    preparation: Preparation,
    *,
    outputs: Sequence[FileRecord],
    counts: Mapping[str, Any],
    license: str | None = None,
    citation: str | None = None,
) -> None:
    """Adds an entry to the manifest of `folder`; an older entry with the same outputs is replaced.

    Args:
        folder: where the outputs are.
        preparation: what was done.
        outputs: the files that were made.
        counts: numbers for a person to read: clips, frames, cameras, ...
        license: the terms of the source data, where known.
        citation: the publication to cite for the source data, where known.
    """
    entry = {
        **dataclasses.asdict(preparation),
        "counts": dict(counts),
        "outputs": [dataclasses.asdict(record) for record in outputs],
        "license": license,
        "citation": citation,
    }
    names = {record.name for record in outputs}
    others = [
        other
        for other in read_manifest(folder)
        if names.isdisjoint(record["name"] for record in other["outputs"])
    ]
    content = {"format": "rsnet_jax.manifest", "version": 1, "prepared": [*others, entry]}
    with atomic_write(folder / MANIFEST) as path:
        path.write_text(json.dumps(content, indent=2) + "\n")
