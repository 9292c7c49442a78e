"""Check the code against its budgets: the sizes of folders, modules and functions, and the places of broad excepts.

A folder has at most 14 modules, not counting `__init__`; a folder whose modules are a flat list of one kind (the
commands, the dashboard's pages) may have more, and is named here. A module has at most 400 lines, a function at most
35 statements, those of inner functions included: a long call or mapping is one statement, because listing is not
complexity; a docstring is not counted. No two modules have a class of the same name.

`except:`, `except Exception`, `except BaseException` and `suppress()` of those are allowed only at a loop's boundary,
where one failed turn must not end the loop. The line must be marked: `except Exception:  # a loop's boundary`.

    python -m scripts.budgets crypto_checkout
"""

import argparse
import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

FOLDER_MODULES = 14
FLAT_FOLDERS = {"cli", "dashboard/pages"}
MODULE_LINES = 400
FUNCTION_STATEMENTS = 35
BOUNDARY = "# a loop's boundary"
BROAD = {"Exception", "BaseException"}
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def main() -> int:
    """Print each line that breaks a budget, as file:line; return the exit code."""
    parser = argparse.ArgumentParser(description="Check the sizes of the code, and broad excepts.")
    parser.add_argument("folders", nargs="+", type=Path, help="folders whose Python files are checked")
    folders: list[Path] = parser.parse_args().folders
    files = sorted(file for folder in folders for file in folder.rglob("*.py"))
    broken = [f"{file}:{complaint}" for file in files for complaint in complaints(file.read_text("utf-8"))]
    broken += crowded(files) + ambiguous(files)
    print("\n".join(broken) if broken else f"{len(files)} modules are within their budgets.")
    return 1 if broken else 0


def complaints(source: str) -> Iterator[str]:
    """Yield "line: the problem" for each budget that this module breaks."""
    lines = source.splitlines()
    if len(lines) > MODULE_LINES:
        yield f"{len(lines)}: the module has {len(lines)} lines; {MODULE_LINES} are allowed"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, FUNCTION) and (count := statements_of(node)) > FUNCTION_STATEMENTS:
            yield f"{node.lineno}: {node.name}() has {count} statements; {FUNCTION_STATEMENTS} are allowed"
        if isinstance(node, ast.ExceptHandler | ast.Call) and is_broad(node) and BOUNDARY not in lines[node.lineno - 1]:
            yield f"{node.lineno}: a broad except, and the line doesn't say {BOUNDARY!r}"


def crowded(files: Iterable[Path]) -> list[str]:
    """Return "folder: the problem" for each folder with too many modules."""
    modules = Counter(file.parent for file in files if file.name != "__init__.py")
    return [
        f"{folder}: the folder has {count} modules; {FOLDER_MODULES} are allowed"
        for folder, count in sorted(modules.items())
        if count > FOLDER_MODULES and not folder.as_posix().endswith(tuple(FLAT_FOLDERS))
    ]


def ambiguous(files: Iterable[Path]) -> list[str]:
    """Return "file: the problem" for each class that is named like one of another module."""
    places: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(file)
    return [
        f"{found[-1]}: {name} is the name of a class in {found[0]} too"
        for name, found in places.items()
        if len(set(found)) > 1
    ]


def statements_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the statements of a function, without itself and its docstring."""
    count = sum(isinstance(node, ast.stmt) for node in ast.walk(function)) - 1
    return count if ast.get_docstring(function, clean=False) is None else count - 1


def is_broad(node: ast.ExceptHandler | ast.Call) -> bool:
    """Return True if this catches everything."""
    match node:
        case ast.ExceptHandler(type=None):
            return True
        case ast.ExceptHandler(type=caught):
            return names_broad(caught)
        case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress"), args=caught):
            return any(names_broad(each) for each in caught)
    return False


def names_broad(caught: ast.AST | None) -> bool:
    """Return True if one of the exceptions named here is a base of all."""
    return caught is not None and any(isinstance(name, ast.Name) and name.id in BROAD for name in ast.walk(caught))


if __name__ == "__main__":
    sys.exit(main())
