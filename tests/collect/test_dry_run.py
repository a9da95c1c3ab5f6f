"""`--dry-run`: what would be downloaded, computed and stored, against a server like the hub."""

import re

import pytest

from collect import oracle
from servers import hub as hub_server
from servers import hub_content
from servers.launcher import launcher
from sfal.store.manifest import Manifest, occurrences_dir
from sfal.store.published.histogram import histogram_bytes
from sfal.terminal.units import size_text

DOCUMENTS = oracle.texts(200, seed=3, longest=30)
NAME = "llama3.1-8b/0-llamascope-res-32k"
WORDS = ("cooc", "llama", "--layers", 0, "--max-length", 64, "--k", 12)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("hub")
    with hub_server.serve() as hub:
        hub_content.llama(hub, root, DOCUMENTS)
        yield hub, root


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def launched(world, home):
    with launcher(home, **world[0].environment(home / "hf-home")) as one:
        yield one


@pytest.fixture
def machine(launched, tmp_path):
    return lambda *words: launched.run(*words, cwd=tmp_path)


def said(done):
    """Lines of the estimate by what they are about: {heading: {what: text}}."""
    assert done.returncode == 0, done.stderr
    found, heading = {}, ""
    for line in done.stdout.splitlines():
        if line.startswith("  "):
            what, _, text = line[2:].partition("  ")
            found[heading][what.strip()] = text.strip()
        else:
            heading = line.partition(" ")[0].rstrip(":")
            found[heading] = {}
    return found


def size(folder, *names):
    return sum(path.stat().st_size for name in names for path in folder.glob(name))


def test_on_a_new_machine_sizes_come_from_the_hub_and_the_speed_is_unknown(world, tmp_path):
    hub, root = world
    with launcher(tmp_path / "launched", **hub.environment(tmp_path / "hf-home")) as one:
        found = said(one.run(*WORDS, "--n-docs", 200, "--dry-run", cwd=tmp_path))
    weights = size(root / "Llama-3.1-8B", "*.safetensors", "*.json")
    folder = root / "Llama3_1-8B-Base-LXR-8x/Llama3_1-8B-Base-L0R-8x"
    sae = size(folder, "hyperparams.json", "checkpoints/*")
    assert found["model"]["to download"] == size_text(weights)
    assert found[NAME]["to download"] == size_text(sae)
    assert found["in"]["to download"].startswith(f"{size_text(weights + sae)} of model and SAEs")
    mean = sum(len(text.encode()) for text in DOCUMENTS[:128]) / 128
    assert found["corpus"]["to download"].startswith(f"about {size_text(200 * mean)} of text")
    assert found["corpus"]["to compute"] == "at most 12,800 tokens"
    assert found[NAME]["to count"] == "200 documents"
    assert (
        f"{histogram_bytes(32_768):,} bytes (4.3 GB), if it has 32,768" in found[NAME]["to store"]
    )
    assert found["in"]["to store"] == "not known"
    assert found["in"]["time"].startswith("not known, as no speed has been measured")
    assert not (tmp_path / "sfal-data").exists()
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_continued_run_is_estimated_from_what_it_has_counted(world, machine, tmp_path):
    assert machine(*WORDS, "--n-docs", 130).returncode == 0
    found = said(machine(*WORDS, "--n-docs", 200, "--dry-run"))
    folder = tmp_path / "sfal-data" / NAME
    manifest = Manifest.load(folder)
    counts = manifest.counts
    assert found["model"]["to download"] == "nothing, it was fetched before"
    assert found[NAME]["to download"] == "nothing, it was fetched before"
    tokens = re.match(r"about ([\d,]+) tokens in ([\d,]+) windows", found["corpus"]["to compute"])
    assert tokens is not None
    for text, n in zip(tokens.groups(), (counts.tokens, counts.windows), strict=True):
        assert int(text.replace(",", "")) == pytest.approx(200 * n / 130, rel=0.01)
    assert found[NAME]["to count"] == "70 documents"
    parts = size(occurrences_dir(folder), "*.parquet")
    assert f"occurrences of about {size_text(parts * 70 / 130)} " in found[NAME]["to store"]
    assert (
        f"a histogram of {histogram_bytes(hub_content.N_FEATURES):,} bytes"
        in found[NAME]["to store"]
    )
    speed = manifest.volatile["speed"]
    rate = f"{speed['tokens'] / speed['seconds']:,.0f} tokens/s, measured by the run of {NAME}"
    assert rate in found["in"]["time"]
    assert speed["tokens"] == counts.tokens

    whole = said(machine(*WORDS, "--n-docs", 130, "--dry-run"))
    assert whole[NAME] == {"to count": "nothing, it is complete"}
    assert whole["in"] == {
        "to download": "0 bytes of model and SAEs",
        "to store": "nothing",
        "time": "none",
    }
    other = machine(*WORDS[:-2], "--k", 9, "--n-docs", 130, "--dry-run")
    assert other.returncode == 1
    assert "window_size was 12, now 9" in other.stderr
    assert "  refused" in other.stdout
    fewer = machine(*WORDS, "--n-docs", 50, "--dry-run")
    assert fewer.returncode == 1
    assert "holds 130 documents already" in fewer.stderr


def test_the_histogram_has_the_estimated_size(machine, tmp_path):
    said_before = said(machine(*WORDS, "--n-docs", 20, "--dry-run", "--histogram", "none"))
    assert "histogram" not in said_before[NAME]["to store"]
    assert machine(*WORDS, "--n-docs", 20).returncode == 0
    (path,) = tmp_path.rglob("*cooccurrences.npz")
    assert path.stat().st_size == histogram_bytes(hub_content.N_FEATURES)


def test_local_models_and_saes_are_tried_for_some_seconds(world, machine, tmp_path):
    _, root = world
    oracle.write_jsonl(tmp_path / "corpus.jsonl", DOCUMENTS)
    sae = root / "Llama3_1-8B-Base-LXR-8x/Llama3_1-8B-Base-L0R-8x"
    words = (
        "cooc", "sae", "--sae", sae, "--model", root / "Llama-3.1-8B", "--site", "res",
        "--layer", 0, "--k", 12, "--max-length", 64, "--corpus", "corpus.jsonl", "--n-docs", 200,
        "--source", "mine/0",
    )  # fmt: skip
    found = said(machine(*words, "--dry-run"))
    assert found["corpus"]["to download"] == "nothing, it is a local file"
    assert found["mine/0"]["to download"] == "nothing, it is on this machine"
    assert "measured just now" in found["in"]["time"]
    assert not (tmp_path / "sfal-data").exists()
    assert machine(*words).returncode == 0
    folder = tmp_path / "sfal-data" / "mine" / "0"
    told = re.search(r"about ([\d,.]+) (k?)B? ?", found["mine/0"]["to store"])
    assert told is not None
    guess = float(told[1].replace(",", "")) * (1000 if told[2] else 1)
    assert guess == pytest.approx(size(occurrences_dir(folder), "*.parquet"), rel=0.4)
    counts = Manifest.load(folder).counts
    tokens = re.match(r"about ([\d,]+) tokens", found["corpus"]["to compute"])
    assert tokens is not None
    assert int(tokens[1].replace(",", "")) == pytest.approx(counts.tokens, rel=0.2)


def test_a_corpus_that_ends_early_is_estimated_by_its_true_length(world, machine, tmp_path):
    _, root = world
    oracle.write_jsonl(tmp_path / "short.jsonl", DOCUMENTS[:20])
    sae = root / "Llama3_1-8B-Base-LXR-8x/Llama3_1-8B-Base-L0R-8x"
    words = (
        "cooc", "sae", "--sae", sae, "--model", root / "Llama-3.1-8B", "--site", "res",
        "--layer", 0, "--k", 12, "--max-length", 64, "--corpus", "short.jsonl", "--examples", 30,
        "--source", "mine/0", "--dry-run",
    )  # fmt: skip
    done = machine(*words)
    found = said(done)
    assert "corpus short.jsonl, documents 0 to 19, where it ends" in done.stdout
    assert found["mine/0"]["to count"] == "20 documents"
    assert found["corpus"]["to compute"].endswith("; at most 1,280 tokens")
    assert "none for examples; count again into another --data-dir with --n-docs 14" in done.stdout
    some = machine(*words, "--n-docs", 15)
    assert "documents 0 to 14\n" in some.stdout
    assert "then 5 documents after them for examples" in some.stdout
    assert said(some)["mine/0"]["to count"] == "15 documents"


def test_offline_the_cache_decides_whether_the_run_would_fail(world, home, machine, tmp_path):
    assert machine(*WORDS, "--n-docs", 3).returncode == 0
    environment = {**world[0].environment(home / "hf-home"), "HF_HUB_OFFLINE": "1"}
    with launcher(tmp_path / "launched", **environment) as one:
        here = said(one.run(*WORDS, "--dry-run", cwd=tmp_path))
        layer_5 = ["cooc", "llama", "--layers", 5, "--k", 12, "--dry-run"]
        not_here = said(one.run(*layer_5, cwd=tmp_path))
    for heading in ("model", NAME):
        assert here[heading]["to download"].endswith("what was fetched before is used")
    assert here["in"]["to download"] == "0 bytes of model and SAEs"
    sae = not_here["llama3.1-8b/5-llamascope-res-32k"]["to download"]
    assert sae.startswith("nothing can be fetched, as HF_HUB_OFFLINE is set")
    assert not_here["in"]["to download"].endswith("in the local cache: the run would fail")


def test_an_unreachable_hub_is_reported_and_the_rest_estimated(world, tmp_path):
    environment = world[0].environment(tmp_path / "hf-home")
    environment["HF_ENDPOINT"] = "http://127.0.0.1:9"
    with launcher(tmp_path / "launched", **environment) as one:
        found = said(one.run(*WORDS, "--dry-run", cwd=tmp_path))
    for heading in ("model", "corpus", NAME):
        assert found[heading]["to download"].startswith("not known: cannot fetch")
    assert "the hub cannot be reached" in found["model"]["to download"]
    assert found["in"]["to download"] == "0 bytes of model and SAEs, and what is not known"
    assert found["corpus"]["to compute"] == "at most 640,000 tokens"


def test_a_run_that_leaves_out_most_of_the_text_says_so(machine):
    done = machine(*WORDS[:4], "--max-length", 128, "--k", 66, "--n-docs", 60)
    assert done.returncode == 0, done.stderr
    assert re.search(r"only \d+% of the tokens lie in a window.*smaller --k", done.stderr)
