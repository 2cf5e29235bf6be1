"""Every command with options of its own: name -> the module with its options."""

from rsnet_jax.cli.main import SUBCOMMANDS
from rsnet_jax.cli.prepare import SOURCES

COMMANDS = {name: module for name, (module, _) in SUBCOMMANDS.items() if name != "prepare"}
COMMANDS |= {f"prepare {name}": module for name, (module, _) in SOURCES.items()}
