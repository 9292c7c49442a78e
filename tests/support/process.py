"""A process as the system sees it: its descriptors, its memory, its threads and its processor time."""

import os
from pathlib import Path


class Observed:
    """A running process, by its id."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._folder = Path("/proc", str(pid))

    def descriptors(self) -> int:
        """Return the number of open files and connections."""
        return len([*(self._folder / "fd").iterdir()])

    def threads(self) -> int:
        return int(self._status("Threads"))

    def memory_mib(self) -> float:
        """Return the memory of its own: what is shared with the process that it was forked from doesn't count."""
        return int(self._status("RssAnon").split()[0]) / 1024

    def cpu_seconds(self) -> float:
        """Return the processor time since its start, of all its threads."""
        fields = (self._folder / "stat").read_text("ascii").rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _status(self, name: str) -> str:
        lines = (self._folder / "status").read_text("ascii").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))
