"""Pictures of poses: which suffix has which writer. What draws is imported when it is needed."""

from collections.abc import Mapping
from types import MappingProxyType

from rsnet_jax.export.write import Writer
from rsnet_jax.visualize.page.html_file import save_html

WRITERS: Mapping[str, Writer] = MappingProxyType({".html": save_html})
"""Suffix -> its writer."""
