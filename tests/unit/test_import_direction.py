"""The architecture's two rules that a machine can hold: who may import whom, and how large a thing may grow."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "nameserver"

# Lower may never import higher; equal only within one package, or where SIDEWAYS says so.
LEVELS = {
    "errors": 0,
    "wire": 1,
    "zone": 2,
    "transfer": 3,
    "query": 3,
    "refresh": 3,
    "config": 4,
    "store": 4,
    "telemetry": 4,
    "server": 5,
    "control": 5,
    "migrate": 5,
    "cli": 6,
}
SIDEWAYS = {
    ("query", "transfer"),
    ("refresh", "transfer"),
    ("server", "control"),
    ("control", "server"),
    ("migrate", "server"),
}
CORE = {"errors", "wire", "zone", "transfer", "query", "refresh"}
BANNED_IN_CORE = {"asyncio", "socket", "ssl", "os", "pathlib", "time", "random", "threading", "logging", "sqlite3"}
BANNED_IN_CORE |= {"prometheus_client"}
LONGEST_FUNCTION = 60
LONGEST_FILE = 700

FILES = sorted(PACKAGE.rglob("*.py"))


def layer_of(path: Path) -> str:
    """`nameserver/wire/names.py` → `wire`; the package's own files have the layer `""`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0] if parts[0] in LEVELS else ""


def imports_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported anywhere in the file, functions and type-checking blocks included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            # `from nameserver import wire` names a layer in its second half.
            yield from ((node.lineno, f"{base}.{alias.name}" if base == "nameserver" else base) for alias in node.names)


def wrong_direction(layer: str, name: str) -> str | None:
    """Why a file of `layer` may not import `name`; None when it may."""
    if name.startswith("."):
        return "relative imports hide the layer they reach into"
    top, *rest = name.split(".")
    if top != "nameserver":
        return f"the core may not import {top}" if layer in CORE and top in BANNED_IN_CORE else None
    if not layer or not rest or rest[0] not in LEVELS:
        return None
    other = rest[0]
    if other == layer or LEVELS[other] < LEVELS[layer] or (layer, other) in SIDEWAYS:
        return None
    return f"{layer} may not import {other}"


def too_long(tree: ast.AST) -> Iterator[str]:
    """Functions beyond the norm, counted from their `def` line to their last."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FUNCTION:
                yield f"{node.lineno}: {node.name} has {lines} lines, at most {LONGEST_FUNCTION} are wanted"


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE.parent))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_downwards_only_and_the_core_touches_no_outside_world(path: Path) -> None:
    tree = ast.parse(path.read_text(), str(path))
    layer = layer_of(path)
    verdicts = [(line, wrong_direction(layer, name)) for line, name in imports_of(tree)]
    wrong = [f"{name_of(path)}:{line}: {why}" for line, why in verdicts if why]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_function_and_no_file_is_longer_than_a_reader_can_hold(path: Path) -> None:
    text = path.read_text()
    wrong = [f"{name_of(path)}:{problem}" for problem in too_long(ast.parse(text, str(path)))]
    if (lines := text.count("\n")) > LONGEST_FILE:
        wrong.append(f"{name_of(path)}: {lines} lines, at most {LONGEST_FILE} are wanted")
    assert not wrong, "\n".join(wrong)


def test_every_package_has_a_place_in_the_layers() -> None:
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert packages <= set(LEVELS), "a new package needs a level in this test"


@pytest.mark.parametrize(
    ("layer", "name", "allowed"),
    [
        ("wire", "nameserver.zone.node", False),
        ("zone", "nameserver.wire.rrset", True),
        ("zone", "nameserver.errors", True),
        ("transfer", "nameserver.refresh.timers", False),
        ("refresh", "nameserver.transfer.limits", True),
        ("store", "nameserver.telemetry.log", False),
        ("query", "asyncio", False),
        ("query", "os.path", False),
        ("server", "asyncio", True),
        ("cli", "nameserver.server.main", True),
        ("server", "nameserver.cli.main", False),
        ("zone", ".node", False),
    ],
)
def test_the_rule_itself_tells_right_from_wrong(layer: str, name: str, allowed: bool) -> None:
    assert (wrong_direction(layer, name) is None) == allowed


def test_the_rule_sees_imports_inside_functions_and_layers_named_in_the_second_half() -> None:
    tree = ast.parse("from nameserver import cli\ndef late():\n    import socket\n")
    assert list(imports_of(tree)) == [(1, "nameserver.cli"), (3, "socket")]
