"""What a recipe asks an engine to give to the workers of a phase: memory, and an accelerator.

Beam calls these resource hints. Dataflow acts on them; the local runner, Spark and Flink pass them over.
They change no byte of the output and stand outside of all fingerprints.
"""

import re
from typing import Final

from sluice.pipeline.recipes.section import Section
from sluice.schemas.errors import did_you_mean

SCORING: Final = ("classify", "score")
"""The phases that run transformers, and so the only ones that can use an accelerator."""
HINTED: Final = ("clean", "dedup", *SCORING, "vocabulary", "tokens", "history")

_SIZE = re.compile(r"\d+(\.\d+)? ?[KMGTP]i?B")


class Workers(Section, frozen=True):
    """What workers are to have.

    Attributes:
        accelerator: of the phases that run transformers, as Dataflow writes it:
            "type:nvidia-l4;count:1;install-nvidia-driver".
        min_ram: phase -> memory that a worker of it needs, with a unit: "16GB" or "16GiB".
    """

    accelerator: str | None = None
    min_ram: dict[str, str] = {}

    def __post_init__(self) -> None:
        for phase, size in self.min_ram.items():
            if phase not in HINTED:
                raise ValueError(f"min_ram.{phase}: no such phase{did_you_mean(phase, HINTED)}")
            if not _SIZE.fullmatch(size):
                raise ValueError(
                    f"min_ram.{phase}: must be a size with a unit, as 16GB, got {size!r}"
                )
        if self.accelerator is not None and not self.accelerator.startswith("type:"):
            raise ValueError(
                f"accelerator: must begin with type:, as type:nvidia-l4;count:1, got {self.accelerator!r}"
            )

    def hints(self, phase: str) -> dict[str, str]:
        """Returns Beam's resource hints for a phase, {} for none."""
        found = {"min_ram": self.min_ram[phase]} if phase in self.min_ram else {}
        if self.accelerator is not None and phase in SCORING:
            found["accelerator"] = self.accelerator
        return found

    def without_effect(self, *, transformers: bool, history: bool) -> str | None:
        """Returns a key that asks for something that no phase of the run can use, or None."""
        if not transformers and self.accelerator is not None:
            return "accelerator"
        missing = {"classify": not transformers, "history": not history}
        return next((f"min_ram.{p}" for p in self.min_ram if missing.get(p)), None)
