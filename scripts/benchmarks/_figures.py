"""How figures are shown: the machine first, then each with its spread."""

import os
import platform
from collections.abc import Sequence
from statistics import median


def say_where() -> None:
    """Print what it ran on; a machine that is busy with something else makes every figure worse."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs, load before {load}")


def spread(values: Sequence[float], places: int, unit: str) -> str:
    """Return the median with the smallest and the largest."""
    low, middle, high = min(values), median(values), max(values)
    return f"{middle:>10,.{places}f} {unit} ({low:,.{places}f} to {high:,.{places}f})"
