"""A real SSH server on a free port, for file transfer only, as the guide *A warm standby* sets it up."""

import getpass
import re
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from crypto_checkout.http.docs.contents import guide_text
from tests.support.ports import free_port
from tests.support.waiting import WAIT_SECONDS, killed_on_failure, wait_until


def find() -> Path | None:
    """Return the program, which Debian keeps where only root looks."""
    path = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") or shutil.which("sshd")
    return Path(path) if path and shutil.which("ssh-keygen") else None


class SshServer:
    """A running server; `user` may transfer files with the keys that were allowed."""

    def __init__(self, program: Path, folder: Path) -> None:
        folder.mkdir()
        folder.chmod(0o700)
        self.user = getpass.getuser()
        self._keys = folder / "authorized_keys"
        self._log = folder / "sshd.log"
        key = folder / "host-key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        self.host_key = " ".join(key.with_suffix(".pub").read_text("utf-8").split()[:2])
        self.port = free_port()
        (match,) = re.findall(r"```sshd_config\n(.*?)```", guide_text("standby", ""), re.DOTALL)
        (folder / "config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {key}\nPidFile none\nUsePAM no\nStrictModes no\n"
            f"AuthorizedKeysFile {self._keys}\nSubsystem sftp internal-sftp\nPermitRootLogin prohibit-password\n"
            + match.replace("checkout-replica", self.user),
            "utf-8",
        )
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it, for the part of it without rights
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-D", "-e", "-f", folder / "config"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        with killed_on_failure(self._process):
            wait_until(
                lambda: "listening on" in self._said(),
                "listen",
                is_running=lambda: self._process.poll() is None,
                output=self._said,
            )

    def new_key(self, path: Path) -> Path:
        """Make a key, let it in, and return its file."""
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        self.allow(path.with_name(f"{path.name}.pub"))
        return path

    def allow(self, keys: Path) -> None:
        """Let the keys of a file in."""
        shutil.copy(keys, self._keys)

    def _said(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(WAIT_SECONDS)
