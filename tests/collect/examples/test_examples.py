"""Examples: the max-activating tokens in documents after those counted, as plain loops find them."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import tiny
from collect import oracle
from sfal.cli.main import sfal
from sfal.collect import driver
from sfal.collect.driver import collect
from sfal.collect.examples.snippets import snippet
from sfal.collect.examples.top_activations import TopActivations
from sfal.collect.settings import CollectSettings
from sfal.collect.shard import Shard
from sfal.errors import ArtifactError, InvalidInputError
from sfal.sources import SaeRef, Source
from sfal.store.examples import (
    EXAMPLES,
    Example,
    iterate_examples,
    read_examples_metadata,
    write_examples,
)

F, D, TOP = 24, 16, 20
COUNTED, FURTHER = 40, 150
PLACES = [(0, "res"), (1, "mlp")]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A model, an SAE for each place, a corpus, and its activations in plain loops."""
    root = tmp_path_factory.mktemp("world")
    tiny.gemma2(root / "lm", layers=2, d_model=D)
    texts = oracle.texts(COUNTED + FURTHER + 30, longest=20)
    oracle.write_jsonl(root / "corpus.jsonl", texts)
    documents = oracle.activations(root / "lm", texts, PLACES)
    sources = []
    for seed, (layer, site) in enumerate(PLACES):
        folder = root / f"sae-{layer}-{site}"
        tiny.gemma_scope(folder, ".", D, F, seed=seed)
        oracle.move_thresholds(folder, documents, (layer, site))
        sae = SaeRef("local", path=str(folder))
        sources.append(
            Source(f"lm/{layer}-{site}", model=str(root / "lm"), site=site, layer=layer, sae=sae)
        )
    return root, sources, texts, documents


def settings(root, **other):
    facts = {
        "corpus": str(root / "corpus.jsonl"),
        "n_docs": COUNTED,
        "window_size": 16,
        "batch_tokens": 512,
        "device": "cpu",
        "examples": FURTHER,
    }
    return CollectSettings(**{**facts, **other})


def expected(root, documents, place):
    """Return (activation, doc, position) of each feature's greatest activation in each document."""
    arrays = {
        k: v.astype(np.float64)
        for k, v in np.load(root / f"sae-{place[0]}-{place[1]}" / "params.npz").items()
    }
    best = {feature: [] for feature in range(F)}
    for doc in range(COUNTED, COUNTED + FURTHER):
        positions, found = documents[doc]
        if not positions:
            continue
        before = found[place][positions] @ arrays["W_enc"] + arrays["b_enc"]
        acts = before * (before > np.maximum(arrays["threshold"], 0))
        for feature in range(F):
            at = int(acts[:, feature].argmax())
            if acts[at, feature] > 0:
                best[feature].append((acts[at, feature], doc, positions[at]))
    return {f: sorted(rows, key=lambda row: -row[0]) for f, rows in best.items() if rows}


def test_examples_equal_plain_loops_over_the_documents_after_those_counted(world, tmp_path):
    root, sources, texts, documents = world
    for result, place in zip(collect(sources, settings(root), tmp_path), PLACES, strict=True):
        assert result.error is None
        assert result.manifest.counts.documents == COUNTED
        wanted = expected(root, documents, place)
        assert len(wanted) > F / 2
        found = dict(iterate_examples(result.folder))
        assert found.keys() == wanted.keys()
        n_exact = 0
        for feature, rows in found.items():
            strongest = wanted[feature][:TOP]
            assert [row.rank for row in rows] == list(range(len(strongest)))
            values = [value for value, _, _ in strongest]
            np.testing.assert_allclose([row.activation for row in rows], values, rtol=1e-4)
            # Documents that begin alike give values whose order is that of float32's last bits.
            where = {(doc, at): value for value, doc, at in wanted[feature]}
            for row in rows:
                np.testing.assert_allclose(row.activation, where[row.doc, row.position], rtol=1e-4)
                around = "".join([row.before, row.token, row.after]).split()
                assert "".join(around) in "".join(texts[row.doc].split())
            assert len({row.doc for row in rows}) == len(rows)
            n_exact += [(row.doc, row.position) for row in rows] == [w[1:] for w in strongest]
        assert n_exact > len(wanted) / 2


def test_the_token_is_the_one_at_its_position(world, tmp_path):
    root, sources, texts, _ = world
    collect(sources[:1], settings(root), tmp_path)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(root / "lm")
    for _, rows in iterate_examples(tmp_path / sources[0].name):
        for row in rows[:3]:
            ids = tokenizer.encode(texts[row.doc])
            piece = tokenizer.decode([ids[row.position]]).strip().strip("\ufffd")
            assert piece in row.token


def test_metadata_say_where_the_examples_are_from(world, tmp_path):
    root, sources, _, _ = world
    [result] = collect(sources[:1], settings(root), tmp_path)
    told = read_examples_metadata(result.folder)
    assert told["documents"] == [COUNTED, COUNTED + FURTHER]
    assert told["corpus"] == "corpus.jsonl"
    assert told["fingerprints"]["sae"] == result.manifest.fingerprints["sae"]
    assert told["features"] == len(dict(iterate_examples(result.folder)))
    assert {"sfal", "n_features", "settings"} <= told.keys()


def test_counts_are_the_same_with_and_without_examples(world, tmp_path):
    root, sources, _, _ = world
    [plainly] = collect(sources[:1], settings(root, examples=0), tmp_path / "a")
    [both] = collect(sources[:1], settings(root), tmp_path / "b")
    assert plainly.manifest.parts == both.manifest.parts
    assert not (plainly.folder / EXAMPLES).exists()


def test_a_pass_that_was_stopped_leaves_no_examples_and_is_done_alone_the_next_time(
    world, tmp_path, monkeypatch
):
    root, sources, _, _ = world
    with monkeypatch.context() as patched:
        patched.setattr(TopActivations, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            collect(sources[:1], settings(root), tmp_path)
    assert not (tmp_path / sources[0].name / EXAMPLES).exists()
    monkeypatch.setattr("sfal.collect.count.count", None)  # counting would fail
    [result] = collect(sources[:1], settings(root), tmp_path)
    assert (result.error, result.counted) == (None, 0)
    monkeypatch.setattr(driver, "open_executor", None)  # nothing is left to load for
    [result] = collect(sources[:1], settings(root), tmp_path)
    assert result.error is None


def interrupted(*arguments):
    raise KeyboardInterrupt


def test_other_settings_gather_again(world, tmp_path):
    root, sources, _, _ = world
    [result] = collect(sources[:1], settings(root), tmp_path)
    before = (result.folder / EXAMPLES).read_bytes()
    collect(sources[:1], settings(root, examples=60), tmp_path)
    assert read_examples_metadata(result.folder)["documents"] == [COUNTED, COUNTED + 60]
    collect(sources[:1], settings(root), tmp_path)
    assert (result.folder / EXAMPLES).read_bytes() == before


def test_an_extended_run_has_its_examples_after_its_new_end(world, tmp_path):
    root, sources, _, _ = world
    collect(sources[:1], settings(root, examples=20), tmp_path)
    [result] = collect(sources[:1], settings(root, n_docs=COUNTED + 30, examples=20), tmp_path)
    assert read_examples_metadata(result.folder)["documents"] == [COUNTED + 30, COUNTED + 50]


def test_a_corpus_without_further_documents_is_refused_and_the_counts_are_kept(world, tmp_path):
    root, sources, texts, _ = world
    for n_docs in (COUNTED, COUNTED + 5):
        oracle.write_jsonl(tmp_path / "short.jsonl", texts[:COUNTED])
        made = settings(root, corpus=str(tmp_path / "short.jsonl"), n_docs=n_docs)
        [result] = collect(sources[:1], made, tmp_path / str(n_docs))
        assert isinstance(result.error, InvalidInputError)
        assert f"all {COUNTED} documents of corpus" in str(result.error)
        assert "none is left for examples" in str(result.error)
        assert "another data_dir with n_docs=28 examples=12" in str(result.error)
        assert "merge" not in str(result.error)
        assert "run=" not in str(result.error)
        assert result.manifest.complete
        assert result.histogram.exists()


def test_a_corpus_that_ends_early_gives_what_it_has_and_says_so(world, tmp_path, caplog):
    root, sources, _, _ = world
    [result] = collect(sources[:1], settings(root, examples=1000), tmp_path)
    assert result.error is None
    assert read_examples_metadata(result.folder)["documents"] == [COUNTED, COUNTED + FURTHER + 30]
    assert "180 of the 1000 documents" in caplog.text


@pytest.mark.parametrize(
    ("other", "instead", "unsaid"),
    [
        ({"shard": Shard(1, 2)}, "merge the shards first", "--run"),
        ({"run": "k64"}, "another data_dir in place of run", "shard"),
    ],
)
def test_shards_and_further_runs_have_no_examples(world, other, instead, unsaid):
    root, _, _, _ = world
    with pytest.raises(InvalidInputError, match=f"source's main run.*{instead}") as refused:
        settings(root, **other)
    assert unsaid not in str(refused.value)


def test_the_advice_for_a_short_corpus_works_verbatim(world, tmp_path):
    root, sources, texts, _ = world
    oracle.write_jsonl(tmp_path / "short.jsonl", texts[:20])
    made = settings(root, corpus=str(tmp_path / "short.jsonl"), n_docs=100)
    [result] = collect(sources[:1], made, tmp_path / "one")
    n_docs, examples = map(int, re.findall(r"n_docs=(\d+) examples=(\d+)", str(result.error))[0])
    made = replace(made, n_docs=n_docs, examples=examples)
    [result] = collect(sources[:1], made, tmp_path / "two")
    assert result.error is None
    assert read_examples_metadata(result.folder)["documents"] == [n_docs, 20]


def test_without_bos_the_positions_of_tokens_are_still_right(world, tmp_path):
    root, sources, texts, _ = world
    [result] = collect([replace(sources[0], prepend_bos=False)], settings(root), tmp_path)
    assert result.error is None
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(root / "lm")
    for _, rows in iterate_examples(result.folder):
        ids = tokenizer.encode(texts[rows[0].doc])[1:]
        piece = tokenizer.decode([ids[rows[0].position]]).strip().strip("\ufffd")
        assert piece in rows[0].token


def test_top_activations_equal_sorting_everything_with_ties_in_corpus_order():
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(-2, 6, (90, 7), generator=generator).float()
    positions = torch.randint(0, 50, (90, 7), generator=generator, dtype=torch.int32)
    kept = TopActivations(7, torch.device("cpu"), top=5)
    for start in range(0, 90, 11):
        kept.add(100 + start, values[start : start + 11], positions[start : start + 11])
    for feature in range(7):
        rows = sorted((-float(v), i) for i, v in enumerate(values[:, feature]) if v > 0)[:5]
        assert kept.values[feature].tolist() == [-v for v, _ in rows]
        assert kept.documents[feature].tolist() == [100 + i for _, i in rows]
        assert kept.positions[feature].tolist() == [int(positions[i, feature]) for _, i in rows]
    assert kept.referenced().tolist() == sorted(set(kept.documents.flatten().tolist()))


def test_a_feature_with_few_documents_has_few_examples():
    kept = TopActivations(2, torch.device("cpu"), top=3)
    kept.add(5, torch.tensor([[0.0, -1.0], [2.0, 0.0]]), torch.zeros((2, 2), dtype=torch.int32))
    assert kept.values.tolist() == [[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert kept.referenced().tolist() == [6]


@pytest.mark.parametrize(
    ("text", "piece", "token", "before", "after"),
    [
        ("He left Paris, the capital.", "ari", "Paris", "He left", ", the capital."),
        ("He left Paris", " Par", "Paris", "He left", ""),
        ("It is Paris's own", "'s", "Paris's", "It is", "own"),
        ("so, he", ",", ",", "so", "he"),
        ("one\n\ntwo", "\n\n", "\n\n", "one", "two"),
        ("snake_case here", "case", "snake_case", "", "here"),
        ("我住在巴黎市中心", "巴黎", "巴黎", "我住在", "市中心"),
        ("a b c d e f g h i X j k l m n o p q r", "X", "X", "b c d e f g h i", "j k l m n o p q"),
    ],
)
def test_snippets_show_whole_words(text, piece, token, before, after):
    start = text.index(piece)
    assert snippet(text, start, start + len(piece)) == (token, before, after)


def test_an_endless_word_is_cut():
    found = snippet("x" * 10_000, 5000, 5002)
    assert len(found.token) < 100
    assert len(found.before) <= 80


def test_examples_survive_the_disk(tmp_path):
    rows = [
        Example(f, r, 2.0 / (r + 1), 10 + r, r, f"w{r}", "a «", "\n")
        for f in (0, 3)
        for r in range(10_000)
    ]
    write_examples(tmp_path, iter(rows), {"corpus": "c"})
    found = [row for _, group in iterate_examples(tmp_path) for row in group]
    assert [row._replace(activation=0) for row in found] == [r._replace(activation=0) for r in rows]
    assert read_examples_metadata(tmp_path) == {"corpus": "c"}
    write_examples(tmp_path, [], {})
    assert list(iterate_examples(tmp_path)) == []


def test_missing_and_damaged_examples_say_how_to_gather_them(tmp_path):
    with pytest.raises(ArtifactError, match="examples=2000"):
        read_examples_metadata(tmp_path)
    with pytest.raises(ArtifactError, match="examples=2000"):
        list(iterate_examples(tmp_path))
    (tmp_path / EXAMPLES).write_text("no parquet")
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_examples_metadata(tmp_path)
    with pytest.raises(ArtifactError, match="cannot be read"):
        list(iterate_examples(tmp_path))


def test_from_the_command_line_to_a_score(world, tmp_path):
    root, _, _, _ = world
    import tiny_embedders

    embedder = tiny_embedders.embedder(tmp_path / "embedder")
    data = ["--data-dir", str(tmp_path / "data")]
    source = "lm/mine"
    for words, said in [
        (
            f"cooc sae --sae {root}/sae-0-res --model {root}/lm --site res --layer 0 --n-docs "
            f"{COUNTED} --k 8 --corpus {root}/corpus.jsonl --source {source} --examples {FURTHER}",
            f"features in documents {COUNTED} to {COUNTED + FURTHER - 1}; next: sfal explain {source} {' '.join(data)}",
        ),
        (f"explain {source}", "labelled by their top tokens"),
        (f"embeddings embed --source {source} --embedding-model {embedder}", "embedded by"),
        (f"score --source {source} --output {tmp_path}/scores.csv", "sfal"),
        (f"feature {source} 1", "top-tokens by sfal"),
        ("status", "top-tokens by sfal"),
    ]:
        result = CliRunner().invoke(sfal, [*words.split(), *data])
        assert result.exit_code == 0, (words, result.output, result.exception)
        assert said in result.output
