"""A checkpoint -> one GGUF file for llama.cpp and Ollama, with its tokenizer, chat template and end token.

The names of tensors and fields are the `gguf` package's (llama.cpp's own); what is written follows llama.cpp's
convert_hf_to_gguf.py. Llama-like models (Llama, SmolLM, Mistral, Qwen 2 and 3) with a byte-level BPE tokenizer.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from prompts.errors import UserError

Quantization = Literal["f16", "q8_0"]
_ARCHITECTURES = {"llama": "LLAMA", "mistral": "LLAMA", "qwen2": "QWEN2", "qwen3": "QWEN3"}
_NORMAL, _CONTROL, _USER, _UNUSED = 1, 3, 4, 5  # kinds of tokens


def write_gguf(folder: Path, target: Path, quantization: Quantization, name: str) -> None:
    """Raises UserError for a model whose kind or tokenizer cannot be written."""
    import gguf

    config = json.loads((folder / "config.json").read_text("utf-8"))
    tokens = json.loads((folder / "tokenizer.json").read_text("utf-8")) if (folder / "tokenizer.json").is_file() else {}
    _check(config, tokens)
    architecture = getattr(gguf.MODEL_ARCH, _ARCHITECTURES[config["model_type"]])
    writer = gguf.GGUFWriter(target, gguf.MODEL_ARCH_NAMES[architecture])
    _write_shape(writer, config, name, quantization)
    _write_tokenizer(writer, folder, config, tokens)
    names = gguf.get_tensor_name_map(architecture, config["num_hidden_layers"])
    for tensor, data in _tensors(folder, config, architecture):
        known = names.get_name(tensor, try_suffixes=(".weight", ".bias"))
        if known is None:
            raise UserError("GGUF has no place for the tensor {tensor}", tensor=tensor, field="form")
        array, kind = _stored(data, quantization)
        writer.add_tensor(known, array, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _check(config: dict[str, Any], tokens: dict[str, Any]) -> None:
    kind = config.get("model_type")
    if kind not in _ARCHITECTURES:
        raise UserError(
            "GGUF is written for {names} models, not for {kind}; choose merged, and convert it with "
            "llama.cpp's convert_hf_to_gguf.py",
            names=", ".join(_ARCHITECTURES),
            kind=kind,
            field="form",
        )
    if (config.get("rope_parameters") or config.get("rope_scaling") or {}).get("rope_type", "default") != "default":
        raise UserError("GGUF is written here for models without rope scaling; choose merged", field="form")
    if tokens.get("model", {}).get("type") != "BPE" or "ByteLevel" not in json.dumps(tokens.get("pre_tokenizer")):
        raise UserError("GGUF is written for byte-level BPE tokenizers; choose merged", field="form")


def _write_shape(writer: Any, config: dict[str, Any], name: str, quantization: Quantization) -> None:
    import gguf

    heads = config["num_attention_heads"]
    width = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or {}
    writer.add_name(name)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(rope.get("rope_theta") or config.get("rope_theta") or 10000.0)
    writer.add_rope_dimension_count(width)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if quantization == "f16" else gguf.LlamaFileType.MOSTLY_Q8_0)


def _write_tokenizer(writer: Any, folder: Path, config: dict[str, Any], tokens: dict[str, Any]) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    names = {at: token for token, at in tokens["model"]["vocab"].items()}
    kinds = dict.fromkeys(names, _NORMAL)
    for added in tokens.get("added_tokens", []):
        names[added["id"]] = added["content"]
        kinds[added["id"]] = _CONTROL if added["special"] else _USER
    size = range(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_splits(tokens["pre_tokenizer"]))
    writer.add_token_list([names.get(at, f"[PAD{at}]") for at in size])
    writer.add_token_types([kinds.get(at, _UNUSED) for at in size])
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in tokens["model"]["merges"]])
    for kind in ("bos", "eos", "pad", "unk"):
        if (number := getattr(tokenizer, f"{kind}_token_id")) is not None:
            getattr(writer, f"add_{kind}_token_id")(number)
    starts = tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
    writer.add_add_bos_token(starts)
    writer.add_add_space_prefix(False)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def _splits(found: dict[str, Any]) -> str:
    """llama.cpp's name of the rule that splits a text into words before the merges."""
    text = json.dumps(found)
    if r"\\p{N}{1,3}" in text:
        return "llama-bpe"
    if r"(?i:'s|'t|'re|'ve|'m|'ll|'d)" in text:
        return "qwen2"
    return "smollm" if '"Digits"' in text else "gpt-2"


def _tensors(folder: Path, config: dict[str, Any], architecture: Any) -> Iterator[tuple[str, Any]]:
    """(name, fp32 array) of each weight, one at a time; queries and keys in llama.cpp's order of rotary pairs."""
    import gguf
    from safetensors import safe_open

    heads = config["num_attention_heads"]
    known = {"q_proj.weight": heads, "k_proj.weight": config.get("num_key_value_heads") or heads}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 (no mapping)
                data = weights.get_tensor(name).float().numpy()
                turned = next((count for end, count in known.items() if name.endswith(end)), 0)
                if turned and architecture == gguf.MODEL_ARCH.LLAMA:
                    pairs = data.reshape(turned, 2, data.shape[0] // turned // 2, *data.shape[1:])
                    data = pairs.swapaxes(1, 2).reshape(data.shape)
                yield name, data


def _stored(data: Any, quantization: Quantization) -> tuple[Any, Any]:
    """(array as it is written, its type): norms and biases in fp32, the rest as asked for."""
    import gguf
    import numpy as np

    kinds = gguf.GGMLQuantizationType
    if data.ndim == 1:
        return data.astype(np.float32), kinds.F32
    if quantization == "q8_0" and data.shape[-1] % 32 == 0:
        return gguf.quantize(data, kinds.Q8_0), kinds.Q8_0
    return data.astype(np.float16), kinds.F16
