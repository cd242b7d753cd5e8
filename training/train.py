"""Train the network on generated dialogues: one CPU core, bfloat16, Muon and AdamW.

Matrices are trained with Muon (momentum made orthogonal by Newton-Schulz steps), the embedding
and the norms with AdamW. The learning rate is held, then falls linearly.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from training.dialogue import render
from training.families import Source
from training.network import Network, Shape
from training.tokenizer import PIECES, train_tokenizer

BUILD = Path(__file__).with_name("build")
TOKEN_BUDGET = 14_200_000
BATCH_TOKENS = 6144
MICRO_BATCH_TOKENS = 1536
LONGEST = 2600
MATRIX_RATE = 0.02
OTHER_RATE = 3e-3
HOLD = 0.4
"""Share of the training with the full learning rate."""
TARGET_SHARE = 0.35
"""Rough share of written tokens in a batch; a constant scale of the loss."""
TOKENIZER_DIALOGUES = 30000
REPORT_SECONDS = 30

Example = tuple[list[int], list[float]]


def make_tokenizer(path: Path, seed: int) -> Tokenizer:
    """Train the tokenizer on generated dialogues and write it beside the checkpoint."""
    source = Source(seed + 1)
    texts = (
        "".join(text for text, _ in render(source.sample()[1])) for _ in range(TOKENIZER_DIALOGUES)
    )
    tokenizer = train_tokenizer(texts)
    tokenizer.save(str(path))
    return tokenizer


def examples(source: Source, tokenizer: Tokenizer, count: int) -> list[Example]:
    """Token ids with a loss weight each: the highest weight among a token's characters."""
    rendered = [render(source.sample()[1]) for _ in range(count)]
    texts = ["".join(text for text, _ in spans) for spans in rendered]
    result: list[Example] = []
    for spans, encoding in zip(rendered, tokenizer.encode_batch(texts), strict=True):
        if len(encoding.ids) > LONGEST:
            continue
        by_character = [weight for text, weight in spans for _ in text]
        weights = [max(by_character[start:end]) for start, end in encoding.offsets]
        result.append((encoding.ids, weights))
    return result


def micro_batches(source: Source, tokenizer: Tokenizer) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless padded batches of dialogues of similar length."""
    while True:
        pool = sorted(examples(source, tokenizer, 1500), key=lambda item: len(item[0]))
        groups: list[list[Example]] = [[]]
        for item in pool:
            if groups[-1] and (len(groups[-1]) + 1) * len(item[0]) > MICRO_BATCH_TOKENS:
                groups.append([])
            groups[-1].append(item)
        source.words.random.shuffle(groups)
        for group in groups:
            length = max(len(ids) for ids, _ in group)
            tokens = torch.zeros(len(group), length, dtype=torch.long)
            weights = torch.zeros(len(group), length)
            for row, (ids, shares) in enumerate(group):
                tokens[row, : len(ids)] = torch.tensor(ids)
                weights[row, : len(ids)] = torch.tensor(shares)
            yield tokens, weights


def orthogonal(matrices: Tensor) -> Tensor:
    """Newton-Schulz iteration on a stack of matrices with rows <= columns."""
    x = matrices.bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        product = x @ x.mT
        x = 3.4445 * x + (-4.7750 * product + 2.0315 * product @ product) @ x
    return x.float()


class Muon:
    """Momentum with orthogonal updates, for weight matrices."""

    def __init__(self, matrices: list[nn.Parameter]) -> None:
        self.groups: dict[torch.Size, list[tuple[nn.Parameter, Tensor]]] = {}
        for matrix in matrices:
            self.groups.setdefault(matrix.shape, []).append((matrix, torch.zeros_like(matrix)))

    @torch.no_grad()
    def step(self, rate: float) -> None:
        for shape, group in self.groups.items():
            tall = shape[0] > shape[1]
            for matrix, momentum in group:
                momentum.mul_(0.95).add_(matrix.grad)
            mixed = torch.stack(
                [matrix.grad.add(momentum, alpha=0.95) for matrix, momentum in group]
            )
            updates = orthogonal(mixed.mT if tall else mixed)
            updates = updates.mT if tall else updates
            scale = max(1, shape[0] / shape[1]) ** 0.5
            for (matrix, _), update in zip(group, updates, strict=True):
                matrix.mul_(1 - rate * 0.05).add_(update, alpha=-rate * scale)
                matrix.grad = None


def backward(network: Network, tokens: Tensor, weights: Tensor) -> tuple[float, float]:
    """Add gradients; return the summed loss of written tokens and their number."""
    with torch.autocast("cpu", torch.bfloat16):
        hidden = network(tokens[:, :-1])
        chosen = weights[:, 1:] > 0
        logits = functional.linear(hidden[chosen], network.embedding.weight)
    losses = functional.cross_entropy(logits.float(), tokens[:, 1:][chosen], reduction="none")
    shares = weights[:, 1:][chosen]
    (losses * shares).sum().div(BATCH_TOKENS * TARGET_SHARE).backward()
    written = shares > 0.5
    return float(losses[written].detach().sum()), float(written.sum())


def rate_factor(step: int, progress: float) -> float:
    """Warm-up over 50 steps, hold, linear fall to 2 %."""
    fall = 1.0 if progress < HOLD else max(0.02, 1 - (progress - HOLD) / (1 - HOLD))
    return min(1.0, (step + 1) / 50) * fall


def save(path: Path, network: Network, curve: list[dict]) -> None:
    temporary = path.with_suffix(".tmp")
    torch.save({"weights": network.state_dict(), "shape": network.shape.as_dict()}, temporary)
    temporary.replace(path)
    path.with_suffix(".curve.json").write_text(json.dumps(curve, indent=1) + "\n")


def train(out: Path, tokens: int, minutes: float, seed: int, threads: int) -> None:
    """Train until the token budget is used; `minutes` (0: none) shortens it on a slow machine."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(out.with_suffix(".tokenizer.json"), seed)
    network = Network(Shape(vocabulary=PIECES))
    matrices = [p for n, p in network.named_parameters() if p.ndim == 2 and "embedding" not in n]
    others = [p for n, p in network.named_parameters() if p.ndim < 2 or "embedding" in n]
    print(f"parameters {sum(p.numel() for p in network.parameters())}", flush=True)
    muon = Muon(matrices)
    adam = torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.95), weight_decay=0.0)
    batches = micro_batches(Source(seed + 2), tokenizer)
    started, cpu_started = time.monotonic(), time.process_time()
    reported, step, seen, average, curve = started, 0, 0, 0.0, []
    progress = 0.0
    while progress < 1:
        loss = count = 0.0
        batch = 0
        while batch < BATCH_TOKENS:
            ids, weights = next(batches)
            batch += int((ids > 0).sum())
            part = backward(network, ids, weights)
            loss, count = loss + part[0], count + part[1]
        factor = rate_factor(step, progress)
        for group in adam.param_groups:
            group["lr"] = OTHER_RATE * factor
        nn.utils.clip_grad_norm_(others, 1.0)
        adam.step()
        adam.zero_grad()
        muon.step(MATRIX_RATE * factor)
        step, seen = step + 1, seen + batch
        average = loss / count if step == 1 else 0.95 * average + 0.05 * loss / count
        now = time.monotonic()
        progress = max(seen / tokens, (now - started) / (60 * minutes) if minutes else 0.0)
        if now - reported > REPORT_SECONDS or progress >= 1:
            reported, cpu = now, time.process_time() - cpu_started
            curve.append({"tokens": seen, "loss": round(average, 4), "cpu_seconds": round(cpu)})
            print(f"{progress:6.1%} step {step} tokens {seen / 1e6:.2f}M loss {average:.4f} "
                  f"{seen / cpu:.0f} tokens per CPU second", flush=True)  # fmt: skip
            save(out, network, curve)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=BUILD / "demo-antiphon.pt")
    parser.add_argument("--tokens", type=int, default=TOKEN_BUDGET)
    parser.add_argument("--minutes", type=float, default=0.0, help="wall-clock limit, 0 for none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    train(options.out, options.tokens, options.minutes, options.seed, options.threads)


if __name__ == "__main__":
    main()
