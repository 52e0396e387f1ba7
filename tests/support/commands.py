"""The `nameserver` command, run as an operator runs it."""

import os
import subprocess
import sys
from collections.abc import Mapping


def nameserver(
    *words: str, timeout: float = 120.0, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `nameserver WORDS`; its output as text, its exit code as it is. `environment` is added to ours."""
    command = [sys.executable, "-m", "nameserver", *words]
    merged = os.environ | dict(environment or {})
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=merged)
