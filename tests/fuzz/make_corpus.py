"""Writes `corpus/` anew: `PYTHONPATH=tests python -m fuzz.make_corpus`. The same files every time."""

from fuzz import request_seeds, transfer_seeds
from fuzz.outcome import CORPUS


def wanted() -> dict[str, bytes]:
    """Path within the corpus → content."""
    parts = {"requests": request_seeds.seeds(), "transfers": transfer_seeds.seeds()}
    return {f"{part}/{name}.bin": data for part, seeds in parts.items() for name, data in seeds.items()}


def main() -> None:
    """Write what is wanted, remove what is not."""
    files = wanted()
    for path in CORPUS.rglob("*.bin"):
        if str(path.relative_to(CORPUS)) not in files:
            path.unlink()
    for name, data in files.items():
        path = CORPUS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    main()
