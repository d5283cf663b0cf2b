"""Runs the code of docs/export.md and saves what it read."""

from pathlib import Path
from typing import Any

import numpy as np


def main(code: str, target: str) -> None:
    """Runs CODE; TARGET.npz has the arrays of its last names."""
    names: dict[str, Any] = {}
    exec(compile(Path(code).read_text(), code, "exec"), names)  # our own documentation
    np.savez(
        f"{target}.npz",
        document=names["document"],
        trained_on=names["trained_on"]["tokens"].numpy(),
        trained_positions=names["trained_on"]["position_ids"].numpy(),
        sample=names["sample"]["tokens"],
        doc_ends=names["sample"]["doc_ends"],
        position_ids=names["position_ids"],
        row=names["row"]["tokens"],
        mapped=names["mapped"].with_format("numpy")["tokens"][:1],
    )
