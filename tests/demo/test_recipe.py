"""The parts of the recipe on tiny inputs; the whole recipe takes an hour and is not run here."""

import io
import lzma
import math
import tarfile
from itertools import pairwise

import numpy as np
import pytest
import torch
from tools.demo import activations, figures, inputs, lm, sae, text, tokenizer
from tools.demo.inputs import Article, Package

from sfal.collect.sae.sae import load_sae
from sfal.errors import CorruptError, DownloadError
from sfal.sources import SaeRef

SENTENCES = [
    "The river flows from the mountains to the sea.",
    "The sea lies to the north of the mountains.",
    "The king of the mountains was born in 1815.",
]


def deb_with(path, files):
    """Write an `ar` archive that holds files as `data.tar.xz`, like a Debian package."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    data = b"!<arch>\n"
    for name, content in (("odd", b"x"), ("data.tar.xz", lzma.compress(packed.getvalue()))):
        data += f"{name:<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(content):<10}`\n".encode()
        data += content + b"\n" * (len(content) % 2)
    path.write_bytes(data)


def test_glosses_are_read_in_order_from_a_debian_package_and_joined(tmp_path):
    lines = (
        "  1 This is the licence\n"
        '00000001 03 n 02 sea 0 blue_sea 0 001 @ 00000002 n 0000 | salt water; "at sea"  \n'
        "00000002 03 n 01 lake 0 000 | fresh water  \n"
        "00000003 03 a 01 dry(p) 0 000 | without water  \n"
    )
    folder = "./usr/share/wordnet/data."
    empty = {folder + part: b"" for part in ("verb", "adj", "adv")}
    deb_with(tmp_path / "w.deb", {folder + "noun": lines.encode(), **empty})
    first = 'sea, blue sea: salt water; "at sea".'
    assert inputs.read_glosses(tmp_path / "w.deb", 8) == [
        first + " lake: fresh water.",
        "dry: without water.",
    ]
    assert inputs.read_glosses(tmp_path / "w.deb", 100) == [
        first + " lake: fresh water. dry: without water."
    ]


def test_a_file_with_another_hash_is_refused(tmp_path):
    (tmp_path / "file.whl").write_bytes(b"something else")
    package = Package(title="text", file_name="file.whl", sha256="0" * 64, fetch=("false",))
    with pytest.raises(CorruptError, match="expected 0000"):
        inputs.obtain(package, tmp_path)
    missing = Package(title="text", file_name="none.whl", sha256="0" * 64, fetch=("false",))
    with pytest.raises(DownloadError, match=r"put none\.whl into"):
        inputs.obtain(missing, tmp_path)


def test_gaps_that_removed_formulas_leave_are_closed():
    assert inputs.clean("A line\nand ( ; born 1815 ) a gap () here .") == (
        "A line and (born 1815) a gap here."
    )


def test_the_split_has_every_article_exactly_once():
    articles = [Article(f"t{i}", "", f"article {i} " + "x" * (400 * (i % 5))) for i in range(200)]
    corpus = text.split(articles, ["gloss"], n_labels=30, n_counts=50, seed=3)
    labels, counts = ({a.text for a in part} for part in (corpus.labels, corpus.counts))
    assert (len(labels), len(counts)) == (30, 50)
    assert labels | counts | set(corpus.articles) == {a.text for a in articles}
    assert not labels & counts
    assert not (labels | counts) & set(corpus.articles)
    assert text.split(articles, [], 30, 50, 3).counts == corpus.counts
    assert text.split(articles, [], 30, 50, 4).counts != corpus.counts


def test_the_held_out_text_has_the_same_bytes_every_time(tmp_path):
    articles = [Article("Sea", "Geography", "Salt water – “vast”.")]
    for name in ("a", "b"):
        text.write_articles(tmp_path / name, articles)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_tokenizer_puts_bos_first_and_restores_any_text():
    trained = tokenizer.train_tokenizer(SENTENCES * 3, 330)
    for sample in (*SENTENCES, "naïve 日本 x², 'quoted'"):
        ids = trained(sample)["input_ids"]
        assert ids[0] == trained.bos_token_id == 2
        assert trained.decode(ids, skip_special_tokens=True) == sample
    assert len(trained) <= 330


def documents(n, vocabulary, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.zipf(1.5, 30).clip(1, vocabulary - 1).tolist() for _ in range(n)]


def test_bigram_loss_equals_the_formula_written_as_loops():
    seen, held_out = documents(20, 12), documents(5, 12, seed=1)
    bigrams = figures.Bigrams(seen, 12)
    pairs = [pair for d in seen for pair in pairwise(d)]
    counts = {pair: pairs.count(pair) for pair in pairs}
    once = sum(c == 1 for c in counts.values())
    twice = sum(c == 2 for c in counts.values())
    discount = once / (once + 2 * twice)

    def probability(v, w):
        lower = 0.99 * sum(b == w for _, b in counts) / len(counts) + 0.01 / 12
        total = sum(a == v for a, _ in pairs)
        if total == 0:
            return lower
        kinds = sum(a == v for a, _ in counts)
        kept = max(counts.get((v, w), 0) - discount, 0)
        return (kept + discount * kinds * lower) / total

    assert sum(probability(1, w) for w in range(12)) == pytest.approx(1)
    tested = [pair for d in held_out for pair in pairwise(d)]
    expected = -sum(math.log(probability(*pair)) for pair in tested) / len(tested)
    assert bigrams.bigram_loss(held_out) == pytest.approx(expected)


@pytest.fixture(scope="module")
def tiny_model():
    settings = lm.LmSettings(
        vocab_size=64, d_model=32, n_layers=2, d_mlp=64, context=32, batch_rows=4, fast=False
    )
    return lm.build_model(settings, 0, 2, 1).eval(), settings


def test_residuals_equal_those_of_each_document_alone(tiny_model):
    model, _ = tiny_model
    runs = [[2, *d[: 5 + i]] for i, d in enumerate(documents(6, 64))]
    found = activations.residuals(model, runs, (0, 1), batch_rows=3)
    start = 0
    for run in runs:
        states = model.model(input_ids=torch.tensor([run]), output_hidden_states=True)
        alone = states.hidden_states[1][0, 1:]
        part = found[0][start : start + len(run) - 1].float()
        torch.testing.assert_close(part, alone, rtol=2e-3, atol=2e-3)
        start += len(run) - 1
    assert start == len(found[1])


def test_training_lowers_the_loss_on_text_with_a_pattern(tiny_model):
    _, settings = tiny_model
    model = lm.build_model(settings, 0, 2, 1)
    pattern = [2, *range(3, 20)]
    before = lm.held_out_loss(model, [pattern])
    rows = lm.rows([pattern] * 60, [pattern] * 20, settings)
    assert rows.shape[1] == 32
    after = lm.train_lm(model, rows, [pattern], settings, lambda _step, _steps: None)
    assert after < before - 1


def test_frequent_tokens_and_word_pieces_are_subsampled():
    ids = torch.tensor([7] * 90 + [8] * 10)
    settings = sae.SaeSettings(pivot=0.1, fragment_share=0.5)
    whole = torch.tensor([True] * 99 + [False])
    keep = sae.keep_probabilities(ids, whole, settings)
    assert keep[0].item() == pytest.approx(math.sqrt(0.1 / 0.9))
    assert keep[-2].item() == 1
    assert keep[-1].item() == 0.5


def test_whole_words_are_distinguished_from_pieces_signs_and_numbers():
    trained = tokenizer.train_tokenizer(SENTENCES * 3, 330)
    ids = trained("The sea, 1815 seas")["input_ids"]
    tokens = trained.convert_ids_to_tokens(ids)
    whole = [t for t, w in zip(tokens, tokenizer.whole_words(trained, ids), strict=True) if w]
    assert whole == ["▁The", "▁sea"]


def test_an_sae_finds_sparse_directions_and_loads_like_gemma_scope(tmp_path):
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(24, 16, generator=generator)
    directions /= directions.norm(dim=1, keepdim=True)
    on = torch.rand(20_000, 24, generator=generator) < 2 / 24
    strength = 2 + torch.rand(20_000, 24, generator=generator)
    x = 5 * (on * strength) @ directions + 3
    settings = sae.SaeSettings(
        n_features=48, l0=3, batch_tokens=500, n_tokens=400_000, lr=3e-3, n_auxiliary=8
    )
    path = tmp_path / "layer_0" / "width_48" / "average_l0_3" / "params.npz"
    sae.save_sae(sae.train_sae(x, torch.ones(len(x)), settings), path)
    weights = sae.read_sae(path)
    activations_ = weights.encode(x)
    error = (x - weights.decode(activations_)).pow(2).sum() / (x - x.mean(0)).pow(2).sum()
    assert error < 0.1
    assert (activations_ > 0).sum(dim=1).float().mean().item() == pytest.approx(3, abs=0.5)
    found = (weights.w_dec @ directions.T).max(dim=0).values
    assert (found > 0.9).float().mean() > 0.7
    loaded = load_sae(SaeRef(kind="local", path=str(path.parent)))
    assert torch.equal(loaded.fires(x[:500]), activations_[:500] > 0)
