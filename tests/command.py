"""The command line in a process of its own."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from lava_1m1t1r import cli

ROOT = str(Path(cli.__file__).parents[1])  # processes run elsewhere, and shall find the package beside these tests
SHELLS_PYTHON = shlex.quote(sys.executable)  # for a line of a shell: folders may have spaces in their names
TOY = str(Path(__file__).with_name("toy.net"))
"""A small network of 8 channels and 4 classes."""


def started(command, cwd=None, preexec_fn=None, **environment):
    own = {**os.environ, "PYTHONPATH": ROOT, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=cwd, env=own, preexec_fn=preexec_fn)


def run(*args, **options):
    return started([sys.executable, "-m", "lava_1m1t1r", *args], **options)
