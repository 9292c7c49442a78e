"""Tests; their folders mirror those of the package.

Python keeps what it compiles, whatever the environment says: else each server and each command that a test starts would
compile the whole program, and each process of tests all tests.
"""

import os
import sys

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
