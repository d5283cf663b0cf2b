"""The encoder as a torch module: layers of BERT, the mean over a text's pieces, and a linear layer of heads.

Source: Devlin et al. 2019, "BERT", arXiv:1810.04805, section 3; Wang et al. 2024,
arXiv:2402.05672, for the mean.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from sluice.filters.models.training.encoder.base import BaseWeights

EPSILON = 1e-12


class Shape(NamedTuple):
    """The sizes of an encoder.

    Attributes:
        pieces: of the vocabulary.
        layers: of the encoder.
        hidden: width of a position.
        attention: heads of attention.
        inner: width of a feed-forward layer.
        positions: the longest text, in pieces.
        outputs: heads that score.
    """

    pieces: int
    layers: int
    hidden: int
    attention: int
    inner: int
    positions: int
    outputs: int


# torch comes without types for a checker here, so that its classes are of any type
class Layer(nn.Module):  # type: ignore[misc]  # see above
    """A layer of BERT: attention over the text's own pieces, then a feed-forward layer."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.attention = shape.attention
        self.qkv = nn.Linear(shape.hidden, 3 * shape.hidden)
        self.out = nn.Linear(shape.hidden, shape.hidden)
        self.up = nn.Linear(shape.hidden, shape.inner)
        self.down = nn.Linear(shape.inner, shape.hidden)
        self.norm_out = nn.LayerNorm(shape.hidden, eps=EPSILON)
        self.norm_down = nn.LayerNorm(shape.hidden, eps=EPSILON)

    def forward(self, x_BTH: torch.Tensor, mask_B11T: torch.Tensor | None) -> torch.Tensor:
        """Returns (B, T, H); `mask_B11T` is true where there is a piece, None where all texts are as long."""
        B, T, H = x_BTH.shape
        qkv = self.qkv(x_BTH).view(B, T, 3, self.attention, H // self.attention)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        # by hand: the backward pass of the fused function takes a third of a step on a CPU
        weights = q @ k.transpose(-1, -2) * (H // self.attention) ** -0.5
        if mask_B11T is not None:
            weights = weights.masked_fill(~mask_B11T, -1e4)
        found = weights.softmax(-1).to(v.dtype) @ v
        found = self.out(found.transpose(1, 2).reshape(B, T, H))
        x_BTH = self.norm_out(x_BTH + found)
        found = self.down(functional.gelu(self.up(x_BTH)))
        return self.norm_down(x_BTH + found)


class EncoderNetwork(nn.Module):  # type: ignore[misc]  # as above
    """Scores texts: (B, T) pieces and (B,) lengths to (B, outputs) logits."""

    def __init__(self, shape: Shape, *, drop: float = 0.1):
        super().__init__()
        self.shape, self.drop = shape, drop
        self.word = nn.Embedding(shape.pieces, shape.hidden)
        self.position = nn.Embedding(shape.positions, shape.hidden)
        self.norm = nn.LayerNorm(shape.hidden, eps=EPSILON)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.heads = nn.Linear(shape.hidden, shape.outputs)
        nn.init.normal_(self.heads.weight, std=0.02)
        nn.init.zeros_(self.heads.bias)

    def pooled(self, ids_BT: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
        """Returns (B, H), the mean over each text's pieces."""
        T = ids_BT.shape[1]
        here_BT = torch.arange(T, device=ids_BT.device)[None] < lengths_B[:, None]
        mask = None if bool(here_BT.all()) else here_BT[:, None, None, :]
        x = self.norm(self.word(ids_BT) + self.position.weight[:T])
        for layer in self.layers:
            x = layer(x, mask)
        here_BT1 = here_BT[..., None].to(x.dtype)
        return (x * here_BT1).sum(1).float() / lengths_B[:, None].float()

    def forward(self, ids_BT: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
        """Returns (B, outputs) float32 logits."""
        found_BH = functional.dropout(self.pooled(ids_BT, lengths_B), self.drop, self.training)
        return functional.linear(found_BH, self.heads.weight.float(), self.heads.bias.float())


def begin(
    base: BaseWeights,
    kept_V: "torch.Tensor | list[int]",
    *,
    layers: int,
    positions: int,
    outputs: int,
) -> EncoderNetwork:
    """Returns an encoder of the lower layers of the base, with the pieces that are kept."""
    shape = Shape(len(kept_V), layers, base.hidden, base.heads, base.inner, positions, outputs)
    encoder, H = EncoderNetwork(shape), base.hidden

    def put(parameter: torch.Tensor, *names: str) -> None:
        found = torch.cat([torch.from_numpy(base.dense(name)) for name in names])
        parameter.data.copy_(found.view(-1)[: parameter.numel()].view_as(parameter))

    word = torch.from_numpy(base.dense("emb.word")).view(-1, H)
    encoder.word.weight.data.copy_(word[torch.as_tensor(kept_V)])
    position = torch.from_numpy(base.dense("emb.pos")).view(-1, H)[:positions]
    encoder.position.weight.data.copy_(position + torch.from_numpy(base.dense("emb.type"))[:H])
    put(encoder.norm.weight, "emb.ln.w")
    put(encoder.norm.bias, "emb.ln.b")
    for i, layer in enumerate(encoder.layers):
        for part, names in (
            (layer.qkv, ("q", "k", "v")),
            (layer.out, ("ao",)),
            (layer.up, ("fi",)),
            (layer.down, ("fo",)),
            (layer.norm_out, ("aln",)),
            (layer.norm_down, ("oln",)),
        ):
            put(part.weight, *(f"l{i}.{name}.w" for name in names))
            put(part.bias, *(f"l{i}.{name}.b" for name in names))
    return encoder
