"""Tiny embedding models as sentence-transformers stores them."""

import json

import tiny


def embedder(folder, *, pooling="mean", seed=0, modules=True, dimension=32):
    """A random BERT of two layers with pooling and normalisation; random biases and norms too."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import (
        Normalize,
        Pooling,
        Transformer,
    )
    from transformers import BertConfig, BertModel

    inner = folder / ".inner"
    tiny.tokenizer(inner)
    torch.manual_seed(seed)
    model = BertModel(
        BertConfig(
            vocab_size=tiny.VOCABULARY,
            hidden_size=dimension,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=128,
        )
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    model.save_pretrained(inner)
    if not modules:
        inner.rename(folder / "plain")
        return folder / "plain"
    transformer = Transformer(str(inner), max_seq_length=64)
    SentenceTransformer(
        modules=[transformer, Pooling(dimension, pooling_mode=pooling), Normalize()], device="cpu"
    ).save_pretrained(str(folder / "model"))
    return folder / "model"


def qwen3_embedder(folder, *, seed=0):
    """A random Qwen3 with last-token pooling, stored in bfloat16 as the published ones are."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import (
        Normalize,
        Pooling,
        Transformer,
    )
    from transformers import Qwen3Config, Qwen3Model

    inner = folder / ".inner"
    tiny.tokenizer(inner)
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=tiny.VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=64,
        max_position_embeddings=1024,
    )
    Qwen3Model(config).to(torch.bfloat16).save_pretrained(inner)
    modules = [Transformer(str(inner)), Pooling(32, pooling_mode="lasttoken"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder / "model"))
    return folder / "model"


def rename_pooling(folder, mode):
    """Change what a stored model says of its pooling."""
    path = folder / "1_Pooling" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "pooling_mode": mode}))


class Counting:
    """An embedder without a model: vectors from the text's characters, calls counted."""

    def __init__(self, fingerprint="one", fail_after=None):
        self.fingerprint = fingerprint
        self.facts = {"dtype": "float32"}
        self.seen = []
        self._left = fail_after

    def encode(self, texts):
        import numpy as np

        if self._left is not None:
            if self._left == 0:
                raise KeyboardInterrupt
            self._left -= 1
        self.seen.extend(texts)
        rows = [[len(t), sum(map(ord, t)) % 1009, 1.0] for t in texts]
        return np.array(rows, dtype=np.float32)
