"""A real Litestream beside a server's database, with the configuration of the guide.

with Server(tmp_path) as server, Replication(tmp_path) as replication:
    …
    replication.kill()
"""

import asyncio
import re
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from crypto_checkout import litestream
from crypto_checkout.http.docs.contents import guide_text
from crypto_checkout.litestream import SOCKET
from tests.support.waiting import WAIT_SECONDS, killed_on_failure, wait_until


def find() -> Path | None:
    """Return the program, which comes with the tests' requirements where there is a wheel."""
    beside = Path(sys.executable).parent / "litestream"
    path = shutil.which("litestream")
    return beside if beside.exists() else Path(path) if path else None


def configuration(folder: Path, replica_lines: str) -> str:
    """Return the guide's litestream.yml for the server in a folder, with another replica."""
    (text,) = re.findall(r"```yaml litestream\.yml\n(.*?)```", guide_text("standby", ""), re.DOTALL)
    text = text.replace("/var/lib/crypto-checkout", str(folder))
    changed = re.sub(r"(    replica:\n)(      (?!sync-interval).*\n)+", rf"\g<1>{replica_lines}", text)
    assert changed != text
    return changed


def copied_after(database: Path, moment: datetime) -> bool:
    """Tell whether Litestream had everything copied at a moment."""
    try:
        return asyncio.run(litestream.copied_at(database)) >= moment
    except litestream.NotReplicated:
        return False


class Replication:
    """A running `litestream replicate`; `config` is its configuration, `replica` the folder that it copies to."""

    def __init__(self, folder: Path, replica: Path | None = None, replica_lines: str | None = None) -> None:
        program = find()
        assert program is not None
        self.replica = replica or folder / "replica"
        self.config = folder / "litestream.yml"
        lines = replica_lines or f"      url: {self.replica.absolute().as_uri()}\n"
        self.config.write_text(configuration(folder, lines), "utf-8")
        self._log = folder / "litestream.log"
        self._socket = folder / "checkout-data" / SOCKET
        self._socket.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [program, "replicate", "-config", self.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        with killed_on_failure(self.process):
            wait_until(
                self._socket.exists, "listen", is_running=lambda: self.process.poll() is None, output=lambda: self.log
            )

    @property
    def log(self) -> str:
        """Everything that it said in this folder."""
        return self._log.read_text("utf-8", "replace")

    def catch_up(self) -> None:
        """Return once it has copied everything that is in the database now.

        A round shows that it began to read after a moment; the next, that it has finished; the third, that it copied.
        """
        database = self._socket.with_name("checkout.db")
        for _ in range(3):
            moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
            wait_until(partial(copied_after, database, moment), "copy", output=lambda: self.log)

    def stop(self) -> None:
        """Ask it to copy what is left, and to end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(WAIT_SECONDS)

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()
