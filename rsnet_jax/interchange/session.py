"""Sessions of ONNX Runtime, on the CPU and quiet."""

from typing import Any

from rsnet_jax.errors import CheckpointError, quote
from rsnet_jax.files.libraries import optional_library

SILENT = 4
"""The level of ONNX Runtime's log at which only fatal errors are written."""


def open_session(content: bytes, *, name: str) -> Any:
    """An `onnxruntime.InferenceSession` of the bytes of an ONNX file.

    Raises:
        ConfigError: onnxruntime is not installed.
        CheckpointError: the bytes are no ONNX file, or one that the runtime cannot run.
    """
    runtime: Any = optional_library("onnxruntime", extra="onnx", use=f"running {name}")
    options = runtime.SessionOptions()
    options.log_severity_level = SILENT
    try:
        return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common class, and a damaged file can raise any
        raise CheckpointError(f"{name}: not a readable ONNX file: {quote(error)}") from None
