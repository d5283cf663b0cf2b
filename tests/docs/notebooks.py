"""Runs the cells of a notebook without Jupyter, and compares or stores what they show.

    python -m tests.docs.notebooks docs/sluice.ipynb       runs it in an empty folder, and stores the outputs

What a cell shows is what it prints, then the `repr` of its last expression, as in a console.
"""

import ast
import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any


def run(notebook: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Returns the outputs of each code cell, run in order in one namespace, in this folder."""
    names: dict[str, Any] = {"__name__": "__main__"}
    return [_outputs(cell, names) for cell in code_cells(notebook)]


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the cells that hold code."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def _outputs(cell: dict[str, Any], names: dict[str, Any]) -> list[dict[str, Any]]:
    printed, value = _executed("".join(cell["source"]), names)
    outputs: list[dict[str, Any]] = []
    if printed:
        text = printed.splitlines(keepends=True)
        outputs.append({"name": "stdout", "output_type": "stream", "text": text})
    if value is not None:
        data = {"text/plain": repr(value).splitlines(keepends=True)}
        outputs.append({"data": data, "metadata": {}, "output_type": "execute_result"})
    return outputs


def _executed(source: str, names: dict[str, Any]) -> tuple[str, Any]:
    """Runs a cell; returns what it printed, and the value of its last expression."""
    tree, last = ast.parse(source), None
    if tree.body and isinstance(end := tree.body[-1], ast.Expr):
        tree.body.pop()
        last = ast.Expression(end.value)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(tree, "cell", "exec"), names)  # our own notebook
        value = eval(compile(last, "cell", "eval"), names) if last is not None else None
    return printed.getvalue(), value


def without_numbers(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns stored outputs without the numbers of executions, which say nothing."""
    return [{k: v for k, v in o.items() if k != "execution_count"} for o in outputs]


def main() -> None:
    """Stores the outputs in the notebook."""
    path = Path(sys.argv[1]).resolve()
    notebook = json.loads(path.read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        found = run(notebook)
    for number, (cell, outputs) in enumerate(
        zip(code_cells(notebook), found, strict=True), start=1
    ):
        results = [o for o in outputs if o["output_type"] == "execute_result"]
        cell["execution_count"] = number
        cell["outputs"] = outputs
        for result in results:
            result["execution_count"] = number
    path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
