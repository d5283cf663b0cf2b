"""The last layer of a BERT for the first token alone: its classifiers read no other.

Of that layer only keys and values are needed of all tokens. Queries, the output of attention and the
feed-forward network, 10 of its 12 matrix products of equal size, are needed of one token in each text.

Source: ours; the layer is `BertLayer` of transformers 5 (Apache-2.0).
"""

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

KINDS = frozenset({"Bert", "Roberta", "XLMRoberta"})
"""Architectures whose classifiers read the first token and whose layers are BERT's: detoxify's."""


def shorten_last_layer(model: Any) -> bool:
    """Makes the last layer of a classifier compute its first token alone, where that is known to suffice.

    Args:
        model: a sequence classifier of transformers, in evaluation mode; changed in place.

    Returns:
        Whether it was changed: it is an encoder of `KINDS` with PyTorch's own attention.
    """
    kind = type(model).__name__.removesuffix("ForSequenceClassification")
    config = model.config
    if kind not in KINDS or config.is_decoder or config._attn_implementation != "sdpa":
        return False
    last = model.base_model.encoder.layer[-1]
    last.forward = partial(_first_token, last)
    return True


def _first_token(
    layer: Any, hidden_BWH: "torch.Tensor", mask_B1WW: Any = None, *_: Any, **__: Any
) -> "torch.Tensor":
    """Returns (B, 1, H), the first token of what a `BertLayer` gives, for (B, W, H)."""
    from torch.nn.functional import scaled_dot_product_attention

    attention = layer.attention.self
    first_B1H = hidden_BWH[:, :1]

    def heads(states: "torch.Tensor") -> "torch.Tensor":
        return states.unflatten(-1, (-1, attention.attention_head_size)).transpose(1, 2)

    mixed = scaled_dot_product_attention(
        heads(attention.query(first_B1H)),
        heads(attention.key(hidden_BWH)),
        heads(attention.value(hidden_BWH)),
        attn_mask=None if mask_B1WW is None else mask_B1WW[:, :, :1],
        scale=attention.scaling,
    )
    mixed_B1H = mixed.transpose(1, 2).flatten(2)
    return layer.feed_forward_chunk(layer.attention.output(mixed_B1H, first_B1H))
