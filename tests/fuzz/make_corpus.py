"""Write the small files in ``tests/data/fuzz`` that the fuzzer starts from.

    python tests/fuzz/make_corpus.py

A file that was once read wrongly is added by hand.
"""

import gzip
import json
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from safetensors.numpy import load_file, save_file

N = 12
TEXTS = [f"explanation {i}, naïve" for i in range(N)]


def main(root):
    rng = np.random.default_rng(1)
    fired = rng.random((N, 30)) < 0.3
    counts = (fired.astype(np.int32) @ fired.T.astype(np.int32)).astype(np.int32)
    folder = fresh(root / "histogram")
    np.savez(folder / "plain_cooccurrences.npz", histogram=counts, n_chunks=30)
    np.savez_compressed(folder / "deflated_cooccurrences.npz", histogram=counts, n_chunks=30)
    saes(root, rng)
    frames(fresh(root / "pickled"), rng)
    ours(root, rng, fired)
    foreign(root, rng)
    judged(root, rng)
    indptr = np.concatenate([[0], fired.sum(axis=0).cumsum()]).astype(np.int64)
    indices = np.nonzero(fired.T)[1].astype(np.uint32)
    head = np.array([N, 30], np.uint16)
    windows = head.tobytes() + indptr.tobytes() + indices.tobytes()
    (fresh(root / "batch") / "windows.bin").write_bytes(windows)


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def saes(root, rng):
    import tiny

    arrays = {**tiny.weights(4, N), "threshold": tiny.thresholds(N)}
    np.savez_compressed(fresh(root / "gemma-scope") / "params.npz", **arrays)
    made = tiny.llama_scope(fresh(root / "made"), 0, 4, N)
    folder = fresh(root / "llama-scope")
    shutil.copy(made / "hyperparams.json", folder)
    shutil.copy(made / "checkpoints" / "final.safetensors", folder)
    shutil.rmtree(root / "made")
    tiny.saelens(fresh(root / "saelens"), "jumprelu", 4, N)
    sae_settings(fresh(root / "sae-settings"))
    run_settings(fresh(root / "run-settings"))
    layouts(root)


def sae_settings(folder):
    """Every setting that SFAL reads, in the oldest version's names where there are such."""
    arguments = {
        "center_writing_weights": True,
        "fold_ln": False,
        "fold_value_biases": True,
        "dtype": "bfloat16",
        "revision": "step9",
    }
    told = {
        "model_name": "gpt2-small",
        "hook_point": "blocks.1.attn.hook_z",
        "hook_point_head_index": 1,
        "prepend_bos": True,
        "context_size": 128,
        "seqpos_slice": [1, None],
        "exclude_special_tokens": [1, 2],
        "model_from_pretrained_kwargs": arguments,
        "something": "new",
    }
    (folder / "cfg.json").write_text(json.dumps(told, indent=1))
    (folder / "activation_scaler.json").write_text(
        '{"scaling_factor": 1.5, "has_whitening": false}'
    )


def run_settings(folder):
    """The settings of a training run, with the SAE's inside, and of its checkpoint."""
    import tiny

    tiny.saelens(folder, "batchtopk", 4, N, k=3)
    path = folder / "sae_weights.safetensors"
    save_file({**load_file(path), "topk_threshold": np.array(0.5)}, path)
    inner = json.loads((folder / "cfg.json").read_text())
    told = {
        "hook_names": ["blocks.{layer}.hook_mlp_out"],
        "hook_layer": 2,
        "start_pos_offset": 1,
        "logger": {"wandb_project": "x"},
        "sae": {**inner, "rescale_acts_by_decoder_norm": True, "metadata": {"l0": 3}},
    }
    (folder / "cfg.json").write_text(json.dumps(told, indent=1))


def layouts(root):
    import tiny_layouts as made
    from tiny_circuits import circuit_tracer

    circuit_tracer(fresh(root / "circuit-tracer"), 3, 4, N, threshold="threshold")
    made.sparsify(fresh(root / "sparsify"), 4, N)
    made.gemma_scope_2(fresh(root / "gemma-scope-2"), 4, N)
    made.open_sae(fresh(root / "open-sae"), 4, N)
    made.open_moss(fresh(root / "open-moss"), 4, N)
    made.batch_topk(fresh(root / "batch-topk"), "topk", 4, N)
    folder = fresh(root / "dictionary-learning")
    made.dictionary_learning(folder, "BatchTopKSAE", 4, N, old=True)
    folder = fresh(root / "torch")
    made.goodfire(folder / "a-SAE-l19.pth", 4, N)
    made.openai(folder / "8.pt", 4, N, k=4)
    file, _ = made.qwen_scope(fresh(root / "made"), 2, 4, N)
    shutil.copy(file, folder)
    shutil.rmtree(root / "made")
    made.nanda(folder, 4, N)


def frames(folder, rng):
    frame = pd.DataFrame(
        {
            "index": [str(i) for i in range(5)],
            "description": TEXTS[:5],
            "layer": ["3-s"] * 5,
            "embedding": rng.random((5, 4)).tolist(),
        }
    )
    for protocol in (2, 5):
        (folder / f"protocol{protocol}_embeddings.pkl").write_bytes(pickle.dumps(frame, protocol))


def ours(root, rng, fired):
    from sfal.scoring.reliability.replicate_tables import HalfScores, write_replicates
    from sfal.scoring.sensitivity import Choice, Sensitivity
    from sfal.scoring.tables.sensitivity_table import write_sensitivity
    from sfal.store.embeddings import write_vectors
    from sfal.store.examples import Example, write_examples
    from sfal.store.explanations import make_table, write_explanations
    from sfal.store.manifest import Counts, Manifest
    from sfal.store.parts import Windows
    from sfal.store.records import SourceRecord
    from sfal.store.run_writer import RunWriter

    features = np.arange(N, dtype=np.uint32)
    vectors = rng.standard_normal((N, 4)).astype(np.float32)
    write_vectors(fresh(root / "vectors") / "x_embeddings.parquet", features, vectors, {"a": 1})
    folder = fresh(root / "imported")
    np.save(folder / "plain.npy", vectors)
    np.savez_compressed(folder / "both.npz", embeddings=vectors, feature=features)
    save_file({"vectors": vectors, "feature": features}, folder / "both.safetensors")
    table = pa.table({"feature": features, "embedding": vectors.tolist()})
    pq.write_table(table, folder / "both.parquet")
    halves = np.random.default_rng(2).standard_normal((8, 2, N))
    halves[:, :, 2] = np.nan
    kept = [HalfScores(name, "me", "custom_me", halves) for name in ("local/a", "b/c")]
    write_replicates(fresh(root / "replicates"), kept, {"a": 1})
    choice = Choice("phi", 1, 40, N, {"ndcg": 1.0, "rbo98": float("nan")})
    compared = Sensitivity("m/0-res", "local/a", "custom_me", 32, (choice,))
    write_sensitivity(fresh(root / "sensitivity"), compared.table(), {"stem": "custom_me"})
    rows = [(text, "custom", "me") for text in TEXTS]
    write_explanations(fresh(root / "explanations"), make_table(features, rows), {"a": 1})
    told = [
        Example(i, rank, 2.0 - rank, i, 3, TEXTS[i], "before", "after")
        for i in range(N)
        for rank in range(2)
    ]
    write_examples(fresh(root / "examples"), told, {"a": 1})
    folder = fresh(root / "run")
    made = Manifest(
        source=SourceRecord("m/3-s"), n_features=N, settings={"window_size": 4}, n_docs=30
    )
    writer = RunWriter(folder, made, 10, 15)
    for first in range(0, 30, 10):
        part = fired[:, first : first + 10]
        indptr = np.concatenate([[0], part.sum(axis=0).cumsum()]).astype(np.int64)
        windows = Windows(
            np.arange(first, first + 10, dtype=np.uint64),
            np.zeros(10, np.uint32),
            indptr,
            np.nonzero(part.T)[1].astype(np.uint32),
        )
        counts = Counts(documents=10, windows=10, occurrences=len(windows.indices))
        writer.append(first, first + 10, windows, counts, f"{first:064}")
    writer.finish()


def foreign(root, rng):
    from servers import exports

    records = [
        *(exports.record(i, source="m/3-s", embedding=json.dumps([1.0, i])) for i in range(3)),
        *(exports.newer_record(i, source="m/3-s", embedding=[1.0, i]) for i in range(3, 6)),
    ]
    (fresh(root / "batches") / "batch-0.jsonl.gz").write_bytes(exports.batch(records))
    folder = fresh(root / "corpus")
    lines = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in TEXTS)
    (folder / "c.jsonl").write_bytes(lines)
    (folder / "c.jsonl.gz").write_bytes(gzip.compress(lines, mtime=0))
    (folder / "c.txt.zst").write_bytes(zstandard.compress("\n".join(TEXTS).encode()))
    pq.write_table(pa.table({"text": TEXTS}), folder / "c.parquet")
    corpora(folder)
    folder = fresh(root / "own-explanations")
    table = pa.table({"feature": range(N), "explanation": TEXTS})
    pq.write_table(table, folder / "mine.parquet")
    (folder / "mine.csv").write_text('feature,explanation\n0,a\n1,"b, c"\n', encoding="utf-8")
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in table.to_pylist())
    (folder / "mine.jsonl").write_bytes(lines)
    (folder / "mine.jsonl.gz").write_bytes(gzip.compress(lines, mtime=0))
    firings(fresh(root / "firings"))
    document = {str(row["feature"]): row["explanation"] for row in table.to_pylist()}
    (folder / "mine.json").write_text(json.dumps(document), encoding="utf-8")
    nested = [{"layer": "3-s", "index": "1", "explanations": [{"description": TEXTS[1]}]}]
    (folder / "nested.json").write_text(json.dumps(nested), encoding="utf-8")
    (folder / "layers.tsv").write_bytes(b"layer\tfeature_id\tlabel\r\n3\t1.0\ta\r\n4\t2\tb\r\n")
    frame = pd.DataFrame({"label": TEXTS[:3]}, index=[4, 7, 2])
    frame.to_parquet(folder / "index.parquet")
    (folder / "bare.csv").write_bytes("sep=;\n4;naïve\n#7;two\nL3_2;three\n".encode("cp1252"))
    texts = fresh(folder / "texts")
    for i in range(3):
        (texts / f"feature_{i}.txt").write_text(TEXTS[i], encoding="utf-8")
    folder = fresh(folder / "delphi")
    for i in range(3):
        (folder / f"layers.3_latent{i}.txt").write_text(json.dumps(TEXTS[i]), encoding="utf-8")
    row = {"hfRepoId": "a/b", "hfFolderId": "layer_3", "saelensConfig": '{"d_sae": 12}'}
    text = json.dumps({"saelensRelease": "r", "saelensSaeId": "s", **row})
    (fresh(root / "explained-sae") / "source.jsonl").write_text(text, encoding="utf-8")
    from servers import s3

    page = s3.listing(s3.Bucket({f"v1/m/3-s/batch-{i}.gz": b"x" for i in range(3)}, 2), {})
    (fresh(root / "listing") / "page.xml").write_bytes(page)
    (fresh(root / "config") / "sfal.toml").write_text(CONFIG, encoding="utf-8")


def firings(folder):
    from safetensors.numpy import save_file

    from collect.imported import cases

    rows = cases.firings(1, 5, N, length=12)
    names = ("document", "position", "feature", "activation")
    columns = dict(zip(names, rows.T, strict=True))
    cases.parquet(folder / "f.parquet", rows)
    lists = pa.table({"doc": [0, 0, 2], "window": [0, 1, 0], "features": [[1, 4], [], [3]]})
    pq.write_table(lists, folder / "w.parquet")
    lines = [",".join(names), *(",".join(map(str, row)) for row in rows.tolist())]
    text = "\n".join(lines).encode()
    (folder / "f.csv").write_bytes(text)
    (folder / "f.csv.gz").write_bytes(gzip.compress(text, mtime=0))
    tokens = np.arange(5 * 12).reshape(5, 12) % 7
    np.savez_compressed(folder / "f.npz", tokens=tokens, **columns)
    np.savez(folder / "l.npz", document_lengths=[12, 12, 12, 12, 12], **columns)
    arrays = {
        "locations": rows[:, :3].astype(np.uint16),
        "activations": rows[:, 3].astype(np.float16),
        "tokens": tokens,
    }
    save_file(arrays, folder / f"0_{N - 1}.safetensors")


def judged(root, rng):
    """Scores, and votes in each of their formats."""
    folder = fresh(root / "scores")
    table = pa.table(
        {
            "feature": pa.array([*range(N)] * 2, pa.uint32()),
            "embedding": ["a/b"] * 2 * N,
            "explainer": ["me"] * N + ["you"] * N,
            "sfal": [*rng.random(2 * N - 1), None],
            "status": ["scored"] * (2 * N - 1) + ["dead"],
        }
    )
    pq.write_table(table, folder / "scores.parquet", compression="zstd", write_page_checksum=True)
    folder = fresh(root / "votes")
    (folder / "votes.csv").write_text(
        "feature,rater,score,weight,gpt\n1,a,0.5,1,3\n1,b,1,2,\n4,a,,1,7\n", encoding="utf-8"
    )
    (folder / "verdicts.csv").write_text(
        "source,feature,verdict,better_feature,better_label\nm/1-a,5,right,,\nm/1-a,6,wrong,7,x\n",
        encoding="utf-8",
    )
    pq.write_table(pa.table({"index": range(N), "score": rng.random(N)}), folder / "votes.parquet")
    scored = {"value": 0.5, "explanationScoreTypeName": "fuzz", "explanationScoreModelName": "m"}
    explanation = {"explanationModelName": "me", "scores": [scored]}
    records = [{"index": str(i), "explanations": [explanation]} for i in range(3)]
    (folder / "neuronpedia.json").write_text(json.dumps(records), encoding="utf-8")
    lines = "\n".join(map(json.dumps, records)).encode()
    (folder / "neuronpedia.jsonl.gz").write_bytes(gzip.compress(lines, mtime=0))
    examples = [
        {"activating": act, "prediction": int(told), "correct": act == told, "distance": 1}
        for act, told in ((True, True), (True, False), (False, False))
    ]
    (folder / "scores").mkdir()
    for i in (0, 5):
        path = folder / "scores" / f"layers.3_latent{i}.txt"
        path.write_text(json.dumps(examples), encoding="utf-8")


def corpora(folder):
    """Corpora of other kinds: tables, conversations, token ids, separated texts."""
    rows = [{"messages": [{"role": "user", "content": text}]} for text in TEXTS]
    rows[0] = {"id": 1}
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    (folder / "chat.jsonl").write_bytes(lines)
    (folder / "array.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "c.csv").write_text('id,text\n0,"a\nb"\n1,\n2,c\n', encoding="utf-8")
    (folder / "c.tsv").write_text("id\ttext\n0\ta b\n", encoding="utf-8")
    (folder / "stories.txt").write_text("a\nb\n<|endoftext|>\nc\n", encoding="utf-8")
    ids = pa.table({"input_ids": [[3, 4, 5], [6, 7]]})
    pq.write_table(ids, folder / "ids.parquet")
    for name, open_writer in (("stream", pa.ipc.new_stream), ("file", pa.ipc.new_file)):
        with open_writer(folder / f"{name}.arrow", ids.schema) as writer:
            writer.write_table(ids)


CONFIG = """data-dir = "data"
threads = 2
device = "cpu"
[score]
model = "gemma"
layers = [0, 8]
embeddings = ["a/b"]
output = "scores.csv"
n-windows = 7
"""

if __name__ == "__main__":
    tests = Path(__file__).parents[1]
    sys.path.insert(0, str(tests))
    main(tests / "data" / "fuzz")
