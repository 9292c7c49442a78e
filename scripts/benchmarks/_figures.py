"""Output of figures: the machine first, then each figure with its spread."""

import os
import platform
import time
from collections.abc import Sequence
from statistics import median


def print_machine() -> None:
    """Print the machine and its load; on a busy machine every figure is worse."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs, load before {load}")


def spread(values: Sequence[float], places: int, unit: str) -> str:
    """Format the median with the smallest and the largest value."""
    low, middle, high = min(values), median(values), max(values)
    return f"{middle:>10,.{places}f} {unit} ({low:,.{places}f} to {high:,.{places}f})"


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process, finer than /proc tells; its clock's number is that of Linux."""
    return time.clock_gettime(~pid << 3 | 2)
