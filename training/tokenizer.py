"""A byte-level BPE of 1024 pieces in which a space is always a piece of its own.

Letters never merge with spaces, digits or punctuation, so a word is spelled by the same pieces
wherever it stands; copying it then is exact. Every digit and every punctuation mark is its own
piece, so a closing quote in JSON looks the same whatever follows.
"""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]
VISIBLE_SPECIALS = SPECIALS[3:]
"""Special pieces that stay in the text the engine returns."""
PIECES = 1024
TRAINING_SPLIT = r"\p{L}+|\p{N}|[^\s\p{L}\p{N}]|\s"
RUNTIME_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""The split llama.cpp applies under the name `qwen2`; our merges never cross its borders."""


def _split(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def train_tokenizer(texts: Iterable[str], pieces: int = PIECES) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _split(TRAINING_SPLIT)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=pieces,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=10,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.pre_tokenizer = _split(RUNTIME_SPLIT)
    return tokenizer
