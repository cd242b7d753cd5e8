"""Train, export and measure the demo model with one command: `python -m training.run`."""

import argparse
from pathlib import Path

from training import evaluate, export, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=train.TOKEN_BUDGET)
    parser.add_argument("--minutes", type=float, default=0.0, help="wall-clock limit, 0 for none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=export.MODEL_FILE)
    parser.add_argument("--samples", type=int, default=100, help="dialogues per family measured")
    options = parser.parse_args()
    checkpoint = train.BUILD / "demo-antiphon.pt"
    train.train(checkpoint, options.tokens, options.minutes, options.seed, options.threads)
    export.export(checkpoint, options.out)
    print(f"{options.out}: {options.out.stat().st_size} bytes")
    evaluate.report(options.out, options.samples, temperature=0.0, verbose=False)


if __name__ == "__main__":
    main()
