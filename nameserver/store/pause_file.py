"""The pauses that hold through a restart, in a file of the state directory that is there only while there are any.

[zone."example.com"]
answer = "refused"
since = 1795225000.0        (wall-clock Unix seconds)
until = 1795228600.0
"""

import json
import math
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nameserver.errors import StoreError
from nameserver.refresh.pause import ANSWERS, KeptPause
from nameserver.store.whole_file import flush_directory, write_whole
from nameserver.wire import names

FILE_NAME = "pauses.toml"
_HEAD = """\
# Zones that `nameserver pause` has silenced for a while. Written by the server; `nameserver resume ZONE` ends it.
"""


def read_pauses(state_dir: Path) -> dict[bytes, KeptPause]:
    """The pauses in a state directory, by folded wire name; none where there is no file.

    Raises StoreError where it cannot be read or used.
    """
    path = state_dir / FILE_NAME
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        return {names.fold(names.from_text(text)): _pause(row) for text, row in document.get("zone", {}).items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise StoreError(f"{path}: it cannot be read ({error})") from error


def _pause(row: Mapping[str, Any]) -> KeptPause:
    answer, since, until = row["answer"], float(row["since"]), float(row["until"])
    if answer not in ANSWERS:
        raise ValueError(f"answer {answer!r}")
    if not math.isfinite(since) or not math.isfinite(until):
        raise ValueError("a time that is none")
    return KeptPause(answer, since, until)


def write_pauses(state_dir: Path, pauses: Mapping[bytes, KeptPause]) -> None:
    """Write all pauses, in place of those before. Raises `OSError`, with the file as it was."""
    path = state_dir / FILE_NAME
    if not pauses:
        with suppress(FileNotFoundError):
            path.unlink()
            flush_directory(state_dir)
        return
    lines = [_HEAD]
    for name, pause in pauses.items():
        # A JSON string is one of TOML's too.
        zone = json.dumps(names.to_text(name)).replace("\x7f", "\\u007f")
        lines.append(f'[zone.{zone}]\nanswer = "{pause.answer}"\nsince = {pause.since!r}\nuntil = {pause.until!r}\n\n')
    write_whole(path, ["".join(lines).encode()])
