"""What the group gives every command: `ctx.obj`. It is data and never does anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """The `--config` option as given, and the process's environment."""

    config_path: Path | None
    environ: Mapping[str, str]
