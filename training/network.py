"""The network: llama architecture with tied embeddings, in plain PyTorch."""

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

ROPE_BASE = 10000.0
NORM_EPSILON = 1e-5
CONTEXT = 4096


@dataclass
class Shape:
    """The sizes of a network."""

    vocabulary: int = 1024
    width: int = 192
    layers: int = 4
    heads: int = 3
    hidden: int = 512

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions on adjacent pairs: the order GGUF expects for llama."""
    even, odd = x[..., 0::2], x[..., 1::2]
    pairs = (even * cosine - odd * sine, even * sine + odd * cosine)
    return torch.stack(pairs, -1).flatten(-2).to(x.dtype)


class Block(nn.Module):
    """Attention and a gated feed-forward layer, each behind a norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, hidden = shape.width, shape.hidden
        self.heads = shape.heads
        self.attention_norm = nn.RMSNorm(width, eps=NORM_EPSILON)
        self.query, self.key, self.value, self.output = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )
        self.feed_norm = nn.RMSNorm(width, eps=NORM_EPSILON)
        self.gate, self.up = (nn.Linear(width, hidden, bias=False) for _ in range(2))
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, positions: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        batch, length, width = x.shape
        joined = torch.cat([self.query.weight, self.key.weight, self.value.weight])
        parts = functional.linear(self.attention_norm(x), joined)
        query, key, value = parts.view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        # Written out: at these sizes several times faster on a CPU than the fused attention.
        scores = rotate(query, *positions) @ rotate(key, *positions).transpose(-1, -2)
        scores = scores * (width // self.heads) ** -0.5 + mask.to(scores.dtype)
        mixed = (torch.softmax(scores, -1, dtype=scores.dtype) @ value).transpose(1, 2)
        x = x + self.output(mixed.reshape(batch, length, width))
        gate_up = functional.linear(
            self.feed_norm(x), torch.cat([self.gate.weight, self.up.weight])
        )
        gate, up = gate_up.chunk(2, -1)
        return x + self.down(functional.silu(gate) * up)


class Network(nn.Module):
    """Token ids in, last hidden states out; logits are their product with the embedding."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=NORM_EPSILON)
        nn.init.normal_(self.embedding.weight, std=0.02)
        for block in self.blocks:
            for layer in (block.output, block.down):
                nn.init.normal_(layer.weight, std=0.02 / math.sqrt(2 * shape.layers))
        size = shape.width // shape.heads
        frequencies = ROPE_BASE ** (-torch.arange(0, size, 2) / size)
        angles = torch.arange(CONTEXT)[:, None] * frequencies
        self.register_buffer("cosine", angles.cos(), persistent=False)
        self.register_buffer("sine", angles.sin(), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        positions = (self.cosine[:length], self.sine[:length])
        mask = torch.full((length, length), -1e4).triu(1)
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, positions, mask)
        return self.norm(x)
