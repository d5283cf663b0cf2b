"""Tiny models with random weights, in the formats of detoxify and of Hugging Face."""

import string
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from tokenizers.pre_tokenizers import ByteLevel

LETTERS = tuple(string.ascii_lowercase + string.digits + ".,!?'@#&é日本")
WORDS = ("the", "you", "are", "words", "free", "text", "of", "a", "kind")
POSITIONS = 64
"""The longest text that tiny models read, in tokens."""
CLASSES = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
UNBIASED = ("toxicity", "severe_toxicity", "obscene", "identity_attack", "insult", "threat")


class Kind(NamedTuple):
    """A kind of checkpoint that detoxify publishes."""

    stem: str
    tokenizer: str
    classes: tuple[str, ...]
    num_outputs: int


KINDS = {
    "bert": Kind("Bert", "BertTokenizer", CLASSES, 6),
    "roberta": Kind("Roberta", "RobertaTokenizer", UNBIASED, 16),
    "xlm-roberta": Kind("XLMRoberta", "XLMRobertaTokenizer", UNBIASED, 16),
    "albert": Kind("Albert", "AlbertTokenizer", CLASSES, 6),
}
"""As `original`, `unbiased`, `multilingual` and the small ones: two have outputs beyond their classes."""


class Tiny(NamedTuple):
    """A checkpoint and the folder of the model that it was made from."""

    checkpoint: Path
    base: Path
    model: Any


def tokenizer(kind: str) -> Any:
    """Returns a tokenizer of letters and a few words."""
    if kind == "bert":
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
        pieces += [c for c in LETTERS if c not in WORDS] + [f"##{c}" for c in LETTERS]
        return transformers.BertTokenizer(
            vocab={p: i for i, p in enumerate(pieces)}, model_max_length=POSITIONS
        )
    if kind == "roberta":
        alphabet = sorted(ByteLevel.alphabet())
        pieces = ["<s>", "<pad>", "</s>", "<unk>", *alphabet, "th", "the", "<mask>"]
        return transformers.RobertaTokenizer(
            vocab={p: i for i, p in enumerate(pieces)},
            merges=[("t", "h"), ("th", "e")],
            model_max_length=POSITIONS,
        )
    if kind == "albert":
        scored = [(p, 0.0) for p in ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")] + [("▁", -2.0)]
        scored += [(f"▁{w}", -3.0) for w in WORDS] + [(c, -4.0) for c in LETTERS if c not in WORDS]
        return transformers.AlbertTokenizer(vocab=scored, model_max_length=POSITIONS)
    scored = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    scored += [(f"▁{w}", -3.0) for w in WORDS] + [(c, -4.0) for c in LETTERS if c not in WORDS]
    return transformers.XLMRobertaTokenizer(
        vocab=[*scored, ("<mask>", 0.0)], model_max_length=POSITIONS
    )


def classifier(kind: str, *, num_labels: int, seed: int = 1, **config: Any) -> Any:
    """Returns a model whose scores differ between texts."""
    stem = KINDS[kind].stem
    sizes = {
        "vocab_size": 400,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": POSITIONS + 2 * ("roberta" in kind),
        "pad_token_id": int("roberta" in kind),
        "initializer_range": 0.4,
    }
    if kind == "albert":
        sizes["embedding_size"] = 16
    torch.manual_seed(seed)
    made = getattr(transformers, f"{stem}Config")(num_labels=num_labels, **(sizes | config))
    return getattr(transformers, f"{stem}ForSequenceClassification")(made).eval()


def detoxify_checkpoint(folder: Path, kind: str, **entries: Any) -> Tiny:
    """Writes a checkpoint as detoxify's training does, with more `entries`, and the base model's folder."""
    spec = KINDS[kind]
    base = folder / f"{kind}-base"
    model = classifier(kind, num_labels=spec.num_outputs)
    tokenizer(kind).save_pretrained(base)
    model.config.save_pretrained(base)
    arch = {
        "model_type": str(base),
        "model_name": f"{spec.stem}ForSequenceClassification",
        "tokenizer_name": spec.tokenizer,
        "num_classes": spec.num_outputs,
    }
    config = {
        "name": f"invented_{kind}",
        "arch": {"type": spec.stem, "args": arch},
        "dataset": {"type": "Invented", "args": {"classes": list(spec.classes)}},
    }
    path = folder / f"{kind}.ckpt"
    torch.save({"config": config, "state_dict": model.state_dict(), **entries}, path)
    return Tiny(path, base, model)


def hub_folder(folder: Path, kind: str, *, labels: tuple[str, ...], **config: Any) -> Tiny:
    """Writes what `save_pretrained` writes of a classifier and its tokenizer."""
    names = dict(enumerate(labels))
    model = classifier(kind, num_labels=len(labels), id2label=names, **config)
    tokenizer(kind).save_pretrained(folder)
    model.save_pretrained(folder)
    return Tiny(folder / "model.safetensors", folder, model)
