"""The real commands count SAEs in other layouts, on the disk and in repositories of the hub."""

import numpy as np
import pytest

import tiny
import tiny_layouts as made
from collect import oracle
from servers import hub as hub_server
from servers.launcher import launcher
from sfal.store.manifest import Manifest
from tiny_circuits import circuit_tracer

D_IN, N_FEATURES = 16, 24


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder of SAEs and their twins in SAELens' layout, also served as repositories."""
    root = tmp_path_factory.mktemp("layouts")
    oracle.write_jsonl(root / "c.jsonl", oracle.texts(30, longest=60))
    tiny.llama(root / "model")
    run = {"model": "someone/tiny-model"}
    for layer in (1, 2):
        made.sparsify(root / "sparsify" / f"layers.{layer}", D_IN, N_FEATURES, parent=run)
    made.sparsify(root / "sparsify" / "layers.2.mlp", D_IN, N_FEATURES, transcode=True)
    made.dictionary_learning(
        root / "learning" / "trainer_0",
        "BatchTopKSAE",
        D_IN,
        N_FEATURES,
        lm_name="someone/tiny-model",
    )
    file, _ = made.qwen_scope(root / "qwen", 2, D_IN, N_FEATURES)
    made.qwen_scope(root / "qwen", 1, D_IN, N_FEATURES)
    made.open_sae(root / "open", D_IN, N_FEATURES, model_name="someone/tiny-model")
    for layer in (1, 2):
        circuit_tracer(root / "circuits", layer, D_IN, N_FEATURES, crosses=True)
    tiny.saelens(root / "twin", "topk", D_IN, N_FEATURES, k=4, metadata={"model_name": "m"})
    with hub_server.serve() as hub:
        hub.add("someone/tiny-model", root / "model")
        hub.add("someone/sparsify", root / "sparsify")
        hub.add("someone/learning", root / "learning")
        hub.add("someone/SAE-Res-Qwen3-1.7B-Base-W32K-L0_4", file.parent)
        hub.add("someone/open", root / "open")
        hub.add("someone/circuits", root / "circuits")
        with launcher(root / "home", **hub.environment(root / "hf-home")) as one:
            yield root, hub, one


@pytest.fixture
def sfal(home, tmp_path):
    root, _, one = home
    return lambda *words: one.run(
        "cooc", "sae", *map(str, words), "--corpus", str(root / "c.jsonl"), "--k", "8",
        "--n-docs", "30", "--device", "cpu", "--data-dir", str(tmp_path), "--histogram", "npz",
        cwd=root,
    )  # fmt: skip


def counts(folder):
    (file,) = folder.rglob("*.npz")
    return np.load(file)["histogram"]


def test_a_local_folder_says_model_and_place_and_counts_as_its_twin_does(home, sfal, tmp_path):
    root, _, _ = home
    done = sfal("--sae", root / "sparsify" / "layers.2")
    assert done.returncode == 0, done.stderr
    assert "Note" not in done.stderr
    found = tmp_path / "tiny-model" / "2-layers.2-res"
    assert Manifest.load(found).notes == ()
    done = sfal("--sae", root / "twin", "--model", "someone/tiny-model", "--layer", "2")
    assert done.returncode == 0, done.stderr
    twin = tmp_path / "tiny-model" / "2-twin-res"
    assert counts(found).any()
    assert np.array_equal(counts(found), counts(twin))


def test_a_transcoder_of_sparsify_reads_its_modules_input(home, sfal, tmp_path):
    root, _, _ = home
    done = sfal("--sae", root / "sparsify" / "layers.2.mlp")
    assert done.returncode == 0, done.stderr
    (manifest,) = map(Manifest.load, (tmp_path / "tiny-model").iterdir())
    assert manifest.source.hook_module == "layers.2.mlp.input"


@pytest.mark.parametrize(
    ("words", "local"),
    [
        (["someone/sparsify", "--sae-id", "layers.1"], "sparsify/layers.1"),
        (["someone/learning"], "learning/trainer_0"),
        (["someone/open"], "open"),
        (
            ["someone/SAE-Res-Qwen3-1.7B-Base-W32K-L0_4", "--sae-id", "layer2.sae.pt",
             "--model", "someone/tiny-model"],
            "qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_4/layer2.sae.pt",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_repository_counts_as_the_same_files_on_the_disk(home, sfal, tmp_path, words, local):
    root, hub, _ = home
    done = sfal("--release", *words)
    assert done.returncode == 0, done.stderr
    (fetched,) = (tmp_path / "tiny-model").iterdir()
    told = Manifest.load(fetched).fingerprints["sae"]
    assert told["repo"] == words[0]
    assert told["revision"] == hub.commit("models", words[0])
    model = [] if "qwen" not in local else ["--model", "someone/tiny-model"]
    done = sfal("--sae", root / local, *model)
    assert done.returncode == 0, done.stderr
    (other,) = set((tmp_path / "tiny-model").iterdir()) - {fetched}
    assert counts(fetched).any()
    assert np.array_equal(counts(fetched), counts(other))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["someone/sparsify"], "holds 3 SAEs: layers.1, layers.2, layers.2.mlp; name one with"),
        (["someone/SAE-Res-Qwen3-1.7B-Base-W32K-L0_4"], "2 SAEs: layer1.sae.pt, layer2.sae.pt;"),
        (["someone/tiny-model"], "someone/tiny-model holds no cfg.json"),
        (["someone/sparsify", "--sae-id", "layers.9"], "layers.9/cfg.json of someone/sparsify"),
        (["someone/sparsify", "--sae-id", "x.pt"], "someone/sparsify has no SAE at x.pt"),
    ],
    ids=str,
)
def test_an_sae_that_is_not_named_or_not_there_is_refused_in_one_line(sfal, tmp_path, words, said):
    done = sfal("--release", *words)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_pickle_of_more_than_tensors_is_refused_in_one_line(home, sfal, tmp_path):
    import torch

    root, _, _ = home
    torch.save(torch.nn.Linear(2, 2), root / "whole-SAE-l1.pt")
    done = sfal("--sae", root / "whole-SAE-l1.pt", "--model", "someone/tiny-model")
    assert done.returncode == 1
    assert "torch.nn.modules.linear.Linear" in done.stderr
    assert "unexpected" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_layer_of_circuit_tracers_counts_alike_on_the_disk_and_on_the_hub(home, sfal, tmp_path):
    root, _, _ = home
    done = sfal("--release", "someone/circuits")
    assert "2 SAEs: W_enc_1.safetensors, W_enc_2.safetensors" in done.stderr
    done = sfal("--release", "someone/circuits", "--sae-id", "W_enc_2.safetensors")
    assert done.returncode == 0, done.stderr
    assert "Note" not in done.stderr
    (remote,) = (tmp_path / "tiny-model").iterdir()
    source = Manifest.load(remote).source
    assert (source.site, source.layer) == ("mlp_input", 2)
    done = sfal("--sae", root / "circuits" / "W_enc_2.safetensors")
    assert done.returncode == 0, done.stderr
    (local,) = set((tmp_path / "tiny-model").iterdir()) - {remote}
    assert np.array_equal(counts(local), counts(remote))
    assert counts(local).any()
