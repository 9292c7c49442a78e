"""Print the bill of materials of the one file (CycloneDX 1.6, JSON): bill.py PYTHON PROGRAM.

PYTHON is the interpreter of the environment that went into the file PROGRAM. Its packages are listed by cyclonedx-bom;
what is in the file besides them, as Python itself, is added.
"""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

_LEFT_OUT = {"flit_core", "pip", "Pygments", "setuptools"}
_VERSIONS = """
import json, platform, re, sqlite3, ssl
openssl = re.search(r"OpenSSL ([0-9.]+[a-z]?)", ssl.OPENSSL_VERSION)[1]
print(json.dumps({"cpython": platform.python_version(), "sqlite": sqlite3.sqlite_version, "openssl": openssl}))
"""


def bill(python: str, program: Path) -> dict[str, Any]:
    """Return the bill of materials."""
    project = Path(__file__).parent.parent.parent / "pyproject.toml"
    lister = [sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", str(project), "--output-reproducible"]
    found: dict[str, Any] = json.loads(_output([*lister, python]))
    versions: dict[str, str] = json.loads(_output([python, "-c", _VERSIONS]))
    found["components"] = [each for each in found["components"] if each["name"] not in _LEFT_OUT]
    found["components"] += [
        {"type": "library", "bom-ref": f"{name}=={version}", "name": name, "version": version,
         "purl": f"pkg:generic/{name}@{version}"}
        for name, version in versions.items()
    ]  # fmt: skip
    known = {each["bom-ref"] for each in found["components"]} | {found["metadata"]["component"]["bom-ref"]}
    found["dependencies"] = [
        {
            **each,
            **({"dependsOn": kept} if (kept := [one for one in each.get("dependsOn", []) if one in known]) else {}),
        }
        for each in found["dependencies"]
        if each["ref"] in known
    ]
    found["metadata"]["component"]["hashes"] = [{"alg": "SHA-256", "content": sha256(program.read_bytes()).hexdigest()}]
    return found


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Print it, once it is valid."""
    python, program = sys.argv[1:]
    text = json.dumps(bill(python, Path(program)), indent=2)
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        raise SystemExit(f"the bill of materials is not CycloneDX: {problem}")
    print(text)


if __name__ == "__main__":
    main()
