"""How a published fine-tune is used: Python that loads it, and the servers that serve it. The tests run the Python."""

from typing import Any

from prompts.home import adapter_folder
from prompts.kinds import Kind, Labels, read_labels
from prompts.models import hub_id
from tuning.kinds import kind_in, loader
from tuning.run import Run

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM's --max-lora-rank takes


def use(run: Run, repo_id: str, form: str, base: dict[str, Any]) -> str:
    """The card's section: Python, InferenceClient, vLLM, Ollama, as far as each can serve this form."""
    kind = kind_in(adapter_folder(run.owner, run.id))
    if form == "adapter" and run.recipe.method != "full" and not hub_id(run.recipe.model):
        return (
            "Its base is a folder of its author's machine: load your copy of that base with transformers, then "
            f'`PeftModel.from_pretrained(base, "{repo_id}")`. The merged form needs no base.'
        )
    parts = [f"```python\n{python_code(run, repo_id, form)}\n```"]
    if kind == "causal":
        parts += [_vllm(run, repo_id, form, base), _ollama(repo_id, form)]
    elif kind == "classifier" and form != "gguf":
        parts.append("With `InferenceClient`, once an Inference Endpoint serves it (merged form):\n\n"
                     f'```python\n{_client("text_classification", repo_id)}\n```')  # fmt: skip
    return "\n\n".join(part for part in parts if part)


def python_code(run: Run, repo_id: str, form: str) -> str:
    """Python that loads the model by its name and asks it."""
    kind = kind_in(adapter_folder(run.owner, run.id))
    if form == "gguf":
        return (
            "import glob\n\nfrom huggingface_hub import snapshot_download\n"
            "from llama_cpp import Llama  # pip install llama-cpp-python\n\n"
            f'folder = snapshot_download("{repo_id}")\nmodel = Llama(glob.glob(f"{{folder}}/*.gguf")[0], n_ctx=4096)\n'
            'print(model.create_chat_completion([{"role": "user", "content": "..."}], temperature=0)["choices"][0]["message"])'
        )
    whole = run.recipe.method == "full" or form == "merged"
    name, library = loader(kind, whole=whole)
    labels = read_labels(adapter_folder(run.owner, run.id))
    more = "" if whole or labels is None else f", num_labels={len(labels.names)}"
    return (
        f'{library}\n\nmodel = {name}.from_pretrained("{repo_id}"{more})\n'
        f'tokenizer = AutoTokenizer.from_pretrained("{repo_id}")\n{_asking(run, kind, labels)}'
    )


def _asking(run: Run, kind: Kind, labels: Labels | None) -> str:
    text = repr(f"{run.columns.instruction}\n\n..." if run.columns.instruction else "...")
    if kind == "causal" and not run.columns.messages and not run.columns.input:  # plain text, which is continued
        return (
            'inputs = tokenizer("Once", return_tensors="pt")\n'
            "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=64)[0], skip_special_tokens=True))"
        )
    if kind == "causal":
        return (
            f'messages = [{{"role": "user", "content": {text}}}]\n'
            'inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)\n'
            "found = model.generate(**inputs, max_new_tokens=64, do_sample=False)\n"
            'print(tokenizer.decode(found[0][inputs["input_ids"].shape[1]:], skip_special_tokens=True))'
        )
    if kind == "seq2seq":
        return (
            f'inputs = tokenizer({text}, return_tensors="pt")\n'
            "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=64)[0], skip_special_tokens=True))"
        )
    found = "model(**inputs).logits"
    many = f"print([name for name, logit in zip(names, {found}[0]) if logit > 0])"
    return f'names = {list(labels.names) if labels else []}\ninputs = tokenizer({text}, return_tensors="pt")\n' + (
        many if labels and labels.many else f"print(names[{found}.argmax(-1).item()])"
    )


def _client(call: str, repo_id: str) -> str:
    return (
        "from huggingface_hub import InferenceClient\n\n"
        f'print(InferenceClient(model="https://<your endpoint>").{call}("..."))  # an endpoint of {repo_id}'
    )


def _vllm(run: Run, repo_id: str, form: str, base: dict[str, Any]) -> str:
    """A server of one's own, and asking it with InferenceClient."""
    if form == "gguf":
        return ""
    name = hub_id(run.recipe.model)
    if form == "adapter" and run.recipe.method != "full":
        if run.recipe.method not in ("lora", "rslora", "qlora") or not name:  # what vLLM takes as an adapter
            return ""
        rank = next((rank for rank in _RANKS if rank >= run.recipe.lora_r), _RANKS[-1])
        revision = f" --revision {base['revision']}" if base.get("revision") else ""
        serve = f"vllm serve {name}{revision} --enable-lora --max-lora-rank {rank} --lora-modules tuned={repo_id}"
        model = "tuned"
    else:
        serve, model = f"vllm serve {repo_id}", repo_id
    return (
        f"With vLLM, and `InferenceClient` or any OpenAI client:\n\n```sh\n{serve}\n```\n\n```python\n"
        "from huggingface_hub import InferenceClient\n\n"
        f'client = InferenceClient(base_url="http://localhost:8000/v1", api_key="none")\n'
        f'print(client.chat_completion([{{"role": "user", "content": "..."}}], model="{model}", temperature=0))\n```'
    )


def _ollama(repo_id: str, form: str) -> str:
    if form != "gguf":
        return "For Ollama and llama.cpp, publish the GGUF form."
    return (
        f"With Ollama:\n\n```sh\nollama run hf.co/{repo_id}\n```\n\nor, from the downloaded folder, "
        f"`ollama create {repo_id.split('/')[-1]} -f Modelfile`. With llama.cpp: `llama-server -hf {repo_id}`."
    )
