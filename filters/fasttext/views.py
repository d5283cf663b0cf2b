"""The view `hidden` of a batch: what all of its fastText models read in its texts, in one pass."""

from typing import Any, Final

from sluice.filters.batch import Batch, Mask, Views
from sluice.filters.fasttext.classifier import FastTextClassifier, read_together
from sluice.filters.fasttext.kernels.output import Hidden


class Hiddens(dict[FastTextClassifier, Hidden]):
    """What some fastText models make of the same texts; a model that is not there reads them itself."""

    def filter(self, mask_N: Mask) -> "Hiddens":
        """Returns the rows where the mask is true."""
        return Hiddens(
            (model, Hidden(hidden.mean_NS[mask_N], hidden.num_rows_N[mask_N]))
            for model, hidden in self.items()
        )


NOTHING_READ: Final = Hiddens()


def hiddens_of(batch: Batch) -> Hiddens:
    """Returns what the models of a batch make of its classifier texts; nothing where it has no models."""
    if not batch.has("hidden"):
        return NOTHING_READ
    hiddens: Hiddens = batch.view("hidden")
    return hiddens


def hidden_view(*machines: Any) -> Views:
    """Returns the view `hidden` of machines that name their models in `classifiers`; none without models."""
    models = [model for machine in machines for model in getattr(machine, "classifiers", ())]
    classifiers = tuple(dict.fromkeys(models))

    def hidden(batch: Batch) -> Hiddens:
        read = read_together(batch.classifier_text, classifiers)
        return Hiddens(zip(classifiers, read, strict=True))

    return {"hidden": hidden} if classifiers else {}
