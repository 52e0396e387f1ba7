"""The `nameserver` command, run as an operator runs it."""

import subprocess
import sys


def nameserver(*words: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run `nameserver WORDS`; its output as text, its exit code as it is."""
    command = [sys.executable, "-m", "nameserver", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
