"""Hold the code to its budgets: the size of a module and of a function, and where a broad `except` may stand.

A module has at most 400 lines, all of them counted. A function has at most 40, from its `def` to its last line; its
docstring is left out, because a budget should not be met by explaining less. Comments and inner functions count.

`except:`, `except Exception`, `except BaseException` and `suppress()` of those may stand at a loop's boundary only,
where one failed turn must not end the loop. The line says so: `except Exception:  # a loop's boundary`.

    python -m scripts.budgets crypto_checkout
"""

import argparse
import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MODULE_LINES = 400
FUNCTION_LINES = 40
BOUNDARY = "# a loop's boundary"
BROAD = {"Exception", "BaseException"}
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def main() -> int:
    """Print each line that breaks a budget, as file:line; return the exit code."""
    parser = argparse.ArgumentParser(description="Check the sizes of modules and functions, and broad excepts.")
    parser.add_argument("folders", nargs="+", type=Path, help="folders whose Python files are checked")
    folders: list[Path] = parser.parse_args().folders
    files = sorted(file for folder in folders for file in folder.rglob("*.py"))
    broken = [f"{file}:{complaint}" for file in files for complaint in complaints(file.read_text("utf-8"))]
    print("\n".join(broken) if broken else f"{len(files)} modules are within their budgets.")
    return 1 if broken else 0


def complaints(source: str) -> Iterator[str]:
    """Yield "line: what is wrong" for each budget that this module breaks."""
    lines = source.splitlines()
    if len(lines) > MODULE_LINES:
        yield f"{len(lines)}: the module has {len(lines)} lines; {MODULE_LINES} are allowed"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, FUNCTION) and (length := length_of(node)) > FUNCTION_LINES:
            yield f"{node.lineno}: {node.name}() has {length} lines; {FUNCTION_LINES} are allowed"
        if isinstance(node, ast.ExceptHandler | ast.Call) and is_broad(node) and BOUNDARY not in lines[node.lineno - 1]:
            yield f"{node.lineno}: a broad except, and the line doesn't say {BOUNDARY!r}"


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines from `def` to the end, without the docstring."""
    length = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is None:
        return length
    docstring = function.body[0]
    return length - ((docstring.end_lineno or docstring.lineno) - docstring.lineno + 1)


def is_broad(node: ast.ExceptHandler | ast.Call) -> bool:
    """Tell whether this catches everything."""
    match node:
        case ast.ExceptHandler(type=None):
            return True
        case ast.ExceptHandler(type=caught):
            return names_broad(caught)
        case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress"), args=caught):
            return any(names_broad(each) for each in caught)
    return False


def names_broad(caught: ast.AST | None) -> bool:
    """Tell whether one of the exceptions named here is the mother of all."""
    return caught is not None and any(isinstance(name, ast.Name) and name.id in BROAD for name in ast.walk(caught))


if __name__ == "__main__":
    sys.exit(main())
