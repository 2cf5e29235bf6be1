"""Zip archives of untrusted origin: what they would unpack to is known before it is unpacked."""

import zipfile

FREE_BYTES = 2**28
LARGEST_RATIO = 50


class ZipBomb(Exception):
    """An archive that unpacks to far more than its size; the message says to how much."""


def check_archive(archive: zipfile.ZipFile, *, size: int) -> None:
    """Checks all members of an archive before any is read.

    Args:
        archive: the archive, opened.
        size: of its file, in bytes.

    Raises:
        ZipBomb: unpacked, the members take more than 256 MB and 50 times the size of the file.
            Arrays of measured numbers shrink to half.
        zipfile.BadZipFile: a member is packed in a way that neither numpy nor torch uses.
    """
    members = archive.infolist()
    total = sum(member.file_size for member in members)
    if total > FREE_BYTES + LARGEST_RATIO * size:
        raise ZipBomb(f"its {size:,} bytes would unpack to {total:,}")
    if any(m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for m in members):
        raise zipfile.BadZipFile("an unknown compression")
