"""glTF 2.0 in one binary file (.glb): JSON, then the numbers that it describes.

Source: Khronos Group, glTF 2.0 Specification (ISO/IEC 12113:2022), sections 3.6, 3.11 and 4.4.
"""

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rsnet_jax.errors import ConfigError

FLOAT, UNSIGNED_SHORT = 5126, 5123
TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}
MOST_BYTES = 2**32 - 1  # the format counts them with 32 bits


class Buffer:
    """The numbers of a file: described at once, made one array after the other when written."""

    def __init__(self):
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self._makers: list[Callable[[], np.ndarray]] = []
        self.bytes = 0

    def add(
        self,
        rows: int,
        width: int,
        make: Callable[[], np.ndarray],
        *,
        short: bool = False,
        **more: Any,
    ) -> int:
        """Promises an array (rows, width) of float32, or of uint16; returns its number.

        Args:
            rows: entries.
            width: numbers in each, 1, 3 or 4.
            make: returns the array.
            short: whether it is of uint16.
            more: further fields of the accessor, such as min and max.
        """
        size = rows * width * (2 if short else 4)
        self.views.append({"buffer": 0, "byteOffset": self.bytes, "byteLength": size})
        component = UNSIGNED_SHORT if short else FLOAT
        description = {"componentType": component, "count": rows, "type": TYPES[width]}
        self.accessors.append({"bufferView": len(self.accessors), **description, **more})
        self._makers.append(make)
        self.bytes += size + -size % 4
        return len(self.accessors) - 1

    def write(
        self,
        path: Path,
        document: Mapping[str, Any],
        *,
        progress: Callable[[float], object] | None = None,
    ) -> None:
        """Writes the file.

        Args:
            path: the file.
            document: the rest of the JSON.
            progress: called with the share, from 0 to 1, that is done.

        Raises:
            ConfigError: it would be larger than the format allows.
        """
        known = {
            "buffers": [{"byteLength": self.bytes}],
            "bufferViews": self.views,
            "accessors": self.accessors,
        }
        text = json.dumps({**document, **known}, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + self.bytes
        if total > MOST_BYTES:
            raise ConfigError(
                f"a .glb file holds at most {MOST_BYTES:,} bytes, and this one would have "
                f"{total:,}; write fewer people or frames, or .trc"
            )
        with path.open("wb") as file:
            file.write(struct.pack("<4sII", b"glTF", 2, total))
            file.write(struct.pack("<I4s", len(text), b"JSON") + text)
            file.write(struct.pack("<I4s", self.bytes, b"BIN\0"))
            for number, make in enumerate(self._makers):
                short = self.accessors[number]["componentType"] == UNSIGNED_SHORT
                data = np.ascontiguousarray(make(), "<u2" if short else "<f4").tobytes()
                assert len(data) == self.views[number]["byteLength"]
                file.write(data + b"\0" * (-len(data) % 4))
                if progress:
                    progress((number + 1) / len(self._makers))
