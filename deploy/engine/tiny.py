"""Writes a small Llama of random weights in Hugging Face's form: tiny.py FOLDER

Its tokens are bytes, and its output is printable, so that a stream has something to show.
Needs numpy, safetensors and tokenizers.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

LAYERS, WIDTH, HEADS, CONTEXT = 2, 256, 4, 2048
SPECIALS = ("<unk>", "<s>", "</s>")
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
RANDOM = np.random.default_rng(0)

Tensors = dict[str, Any]


def main(folder: Path) -> None:
    """Write all files."""
    folder.mkdir(parents=True, exist_ok=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    _tokenizer(alphabet).save(str(folder / "tokenizer.json"))
    for name, content in _settings(len(SPECIALS) + len(alphabet)).items():
        (folder / name).write_text(json.dumps(content, indent=1))
    save_file(_tensors(alphabet), folder / "model.safetensors", metadata={"format": "pt"})


def _tokenizer(alphabet: list[str]) -> Tokenizer:
    vocabulary = {text: number for number, text in enumerate([*SPECIALS, *alphabet])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(one, special=True) for one in SPECIALS])
    return made


def _settings(tokens: int) -> dict[str, Any]:
    return {
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            **{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
            "model_max_length": CONTEXT,
            "chat_template": TEMPLATE,
            "clean_up_tokenization_spaces": False,
        },
        "config.json": {
            **{"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
            **{"vocab_size": tokens, "hidden_size": WIDTH, "intermediate_size": WIDTH * 2},
            **{"num_hidden_layers": LAYERS, "num_attention_heads": HEADS},
            **{"num_key_value_heads": HEADS // 2, "head_dim": WIDTH // HEADS},
            **{"hidden_act": "silu", "max_position_embeddings": CONTEXT},
            **{"rms_norm_eps": 1e-5, "rope_theta": 10000.0, "torch_dtype": "float32"},
            **{"bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False},
            **{"attention_bias": False, "mlp_bias": False},
        },
        "generation_config.json": {"bos_token_id": 1, "eos_token_id": 2},
    }


def _tensors(alphabet: list[str]) -> Tensors:
    tokens = len(SPECIALS) + len(alphabet)
    head = _random(tokens, WIDTH) * 3
    head[: len(SPECIALS)] = 0
    for place, text in enumerate(alphabet, start=len(SPECIALS)):
        if not (len(text) == 1 and "!" <= text <= "~"):
            head[place] = 0
    tensors = {
        "model.embed_tokens.weight": _random(tokens, WIDTH) * np.float32(WIDTH**0.5),
        "model.norm.weight": np.ones(WIDTH, np.float32),
        "lm_head.weight": head,
    }
    for layer in range(LAYERS):
        tensors |= _layer(f"model.layers.{layer}.")
    return tensors


def _layer(prefix: str) -> Tensors:
    inner, keys = WIDTH * 2, WIDTH // 2
    shapes = {
        "self_attn.q_proj": (WIDTH, WIDTH),
        "self_attn.k_proj": (keys, WIDTH),
        "self_attn.v_proj": (keys, WIDTH),
        "self_attn.o_proj": (WIDTH, WIDTH),
        "mlp.gate_proj": (inner, WIDTH),
        "mlp.up_proj": (inner, WIDTH),
        "mlp.down_proj": (WIDTH, inner),
    }
    norms = ("input_layernorm", "post_attention_layernorm")
    return {f"{prefix}{name}.weight": _random(*shape) for name, shape in shapes.items()} | {
        f"{prefix}{name}.weight": np.ones(WIDTH, np.float32) for name in norms
    }


def _random(rows: int, columns: int) -> Any:
    return (RANDOM.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
