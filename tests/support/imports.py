"""What a file of the project imports, read from its syntax."""

import ast
from pathlib import Path


def imported_names(file: Path) -> set[str]:
    """Dotted names of the modules, and of what is taken from them, wherever in the file; none may be relative."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names
