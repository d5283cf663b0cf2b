"""The encoder that ships: what it is held to, and what it says of plain cases."""

import numpy as np
import pyarrow as pa
import pytest

from sluice.filters.models.training.encoder.sources import HEADS
from sluice.filters.transformers.encoder import package
from sluice.filters.transformers.load import Transformer, TransformerScorer, load, locate

SPEC = Transformer(model="sluice/encoder", device="cpu")
PLAIN = {
    "en": "The library opens at nine on Mondays, and the reading room at ten.",
    "es": "Mañana por la tarde vamos a la playa con los niños si no llueve.",
    "de": "Der Zug nach Hamburg hat heute zwanzig Minuten Verspätung.",
    "fr": "J'ai enfin trouvé la recette de la soupe de ma grand-mère.",
}
HOSTILE = {
    "en": "shut up you worthless piece of garbage, nobody wants your kind here, go die",
    "es": "cállate, pedazo de basura, eres una imbécil y das asco",
    "de": "halt die Fresse du dreckiger Abschaum, verpiss dich aus unserem Land",
    "fr": "ferme ta gueule sale connard, tu n'es qu'une ordure",
}
SPAM = {
    "en": "CONGRATULATIONS!!! You have WON a FREE $1000 gift card, claim now http://win-prize.example/claim",
    "es": "GANA DINERO desde casa!!! 500€ al día, escríbeme por whatsapp +34 600 000 000 http://gana.example",
    "de": "Gratis Bitcoin!!! Verdiene 5000€ pro Woche, jetzt klicken http://bonus.example",
    "fr": "GAGNEZ 1000€ par jour sans travailler!!! Cliquez vite http://argent.example",
}


@pytest.fixture(scope="module")
def scorer() -> TransformerScorer:
    return load(SPEC, locate(SPEC), threads=1)


def test_it_is_installed_and_is_what_is_pinned() -> None:
    """`make check` installs the package; its three files are those of encoder.json, and its heads ours."""
    assert locate(SPEC).labels == HEADS
    assert sorted(package.pins().sha256) == sorted(
        [package.WEIGHTS, package.GRAPH, package.TOKENIZER]
    )


def test_plain_cases_are_told_apart(scorer: TransformerScorer) -> None:
    """In four languages hostile posts and spam score higher than posts about the day."""
    plain, hostile, spam = (
        scorer.score(pa.array(list(texts.values()))).scores_NL for texts in (PLAIN, HOSTILE, SPAM)
    )
    toxicity, bait = HEADS.index("toxicity"), HEADS.index("spam")
    assert plain[:, toxicity].max() < 0.2 < 0.5 < hostile[:, toxicity].min()
    assert plain[:, bait].max() < 0.3 < 0.7 < spam[:, bait].min()


def test_whole_numbers_cost_what_is_said(scorer: TransformerScorer) -> None:
    """Scores of int8 are at most .1 from those of float32, and .02 on average (docs/transformers.md)."""
    exact = Transformer(model="sluice/encoder", device="cpu", dtype="float32")
    texts = pa.array([*PLAIN.values(), *HOSTILE.values(), *SPAM.values()])
    apart_NL = np.abs(
        scorer.score(texts).scores_NL - load(exact, locate(exact), threads=1).score(texts).scores_NL
    )
    assert apart_NL.max() < 0.1
    assert apart_NL.mean() < 0.02
