"""Write a checkpoint as a Q8_0 GGUF file with tokenizer and chat template inside."""

import argparse
import json
import os
from pathlib import Path

import gguf
import numpy
import torch
from gguf.quants import quantize

from training.dialogue import TEMPLATE_FILE
from training.network import CONTEXT, NORM_EPSILON, ROPE_BASE
from training.tokenizer import SPECIALS, VISIBLE_SPECIALS
from training.train import BUILD

UNLIKELY = 0.2
"""Where a request asks for sampling, pieces below this share of the best one are never drawn."""
MODEL_FILE = Path(__file__).parents[1] / "antiphon" / "models" / "demo-antiphon.gguf"
TENSORS = {
    "attention_norm": "attn_norm",
    "query": "attn_q",
    "key": "attn_k",
    "value": "attn_v",
    "output": "attn_output",
    "feed_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}


def _metadata(writer: gguf.GGUFWriter, shape: dict[str, int]) -> None:
    writer.add_name("demo-antiphon")
    writer.add_description("A tiny demo model trained on generated dialogues")
    writer.add_license("apache-2.0")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(shape["width"])
    writer.add_block_count(shape["layers"])
    writer.add_feed_forward_length(shape["hidden"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["heads"])
    writer.add_layer_norm_rms_eps(NORM_EPSILON)
    writer.add_rope_dimension_count(shape["width"] // shape["heads"])
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_vocab_size(shape["vocabulary"])
    writer.add_sampling_temp(0.0)
    writer.add_sampling_min_p(UNLIKELY)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)


def _vocabulary(writer: gguf.GGUFWriter, tokenizer: Path) -> None:
    model = json.loads(tokenizer.read_text())["model"]
    vocabulary: dict[str, int] = model["vocab"]
    pieces = sorted(vocabulary, key=vocabulary.__getitem__)
    kinds = [gguf.TokenType.NORMAL] * len(pieces)
    for piece in SPECIALS:
        visible = piece in VISIBLE_SPECIALS
        kinds[vocabulary[piece]] = (
            gguf.TokenType.USER_DEFINED if visible else gguf.TokenType.CONTROL
        )
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(pieces)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(vocabulary["<|endoftext|>"])
    writer.add_eos_token_id(vocabulary["<|im_end|>"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE_FILE.read_text())


def _tensor_name(name: str) -> str:
    """GGUF's name of a weight: `blocks.0.query.weight` becomes `blk.0.attn_q.weight`."""
    if name.startswith("blocks."):
        _, index, part, _ = name.split(".")
        return f"blk.{index}.{TENSORS[part]}.weight"
    return {"embedding.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}[name]


def export(checkpoint: Path, out: Path) -> None:
    """Write the file under a temporary name, then put it in place in one step."""
    saved = torch.load(checkpoint, map_location="cpu")
    temporary = out.with_name(out.name + ".part")
    writer = gguf.GGUFWriter(temporary, "llama")
    _metadata(writer, saved["shape"])
    _vocabulary(writer, checkpoint.with_suffix(".tokenizer.json"))
    for name, weight in saved["weights"].items():
        array = weight.float().numpy().astype(numpy.float32)
        if array.ndim == 1:
            writer.add_tensor(_tensor_name(name), array)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(_tensor_name(name), quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(temporary, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=BUILD / "demo-antiphon.pt")
    parser.add_argument("--out", type=Path, default=MODEL_FILE)
    options = parser.parse_args()
    export(options.checkpoint, options.out)
    print(f"{options.out}: {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
