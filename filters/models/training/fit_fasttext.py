"""Trains a model with the fastText library, in a venv of its own, for `language.py` beside this file.

A script, not a module of ours to import: it knows the `fasttext` package and nothing else. That
package installs the same module name as the prediction-only build that Sluice depends on, so the two
cannot share an environment.
"""

import json
import sys
from typing import Any

import fasttext


def main(order: dict[str, Any]) -> None:
    """Trains, quantises and saves.

    Args:
        order: `input`, a file of lines `__label__x text`; `output`, the model to write; `fit`,
            options of train_supervised; `cutoff`, the input rows to keep; `retrained`, epochs that they
            are trained again. One thread and fastText's fixed seed, so the same input gives the same
            bytes on the same machine.
    """
    model = fasttext.train_supervised(order["input"], thread=1, verbose=0, seed=0, **order["fit"])
    kept = {"input": order["input"], "cutoff": order["cutoff"], "qnorm": True}
    model.quantize(retrain=True, epoch=order["retrained"], thread=1, verbose=0, **kept)
    model.save_model(order["output"])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
