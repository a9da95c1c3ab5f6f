"""SAEs and models of the hub, out of a local cache in the hub's own layout."""

import shutil
import warnings

import pytest
import torch

import tiny
from sfal.collect.model.hook_points import HookPoint
from sfal.collect.model.load import load_language_model
from sfal.collect.sae.sae import load_sae
from sfal.collect.settings import SaeConfig
from sfal.sources.source import SaeRef

COMMIT = "0123456789abcdef0123456789abcdef01234567"
N_FEATURES = 96


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Puts a folder in the hub's cache, as a repository fetched from its main branch."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def put(repo_id, folder):
        home = tmp_path / "hub" / f"models--{repo_id.replace('/', '--')}"
        shutil.copytree(folder, home / "snapshots" / COMMIT)
        (home / "refs").mkdir()
        (home / "refs" / "main").write_text(COMMIT)

    return put


def from_pretrained(release, sae_id, dtype="float32"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sae_lens import SAE

        return SAE.from_pretrained(release, sae_id, dtype=dtype)


def inputs(d_in, scale=1.0):
    return torch.randn(300, d_in, generator=torch.Generator().manual_seed(5)) * scale


def assert_equals_encode(sae, theirs, x):
    with torch.no_grad():
        expected = theirs.encode(x) > 0
    assert 0.001 < expected.float().mean() < 0.9
    assert torch.equal(sae.fires(x), expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_llama_scope_equals_saelens_on_a_registered_release(cache, tmp_path, dtype):
    from sfal.sources.registry import registry

    entry = next(e for e in registry() if (e.release, e.sae_id) == ("llama_scope_lxr_8x", "l8r_8x"))
    scale = 10.138613861386139  # as the registry has it: 64 / 6.3125
    tiny.llama_scope(tmp_path / "repo", 8, 16, N_FEATURES, scale=scale, dtype="bfloat16")
    cache(entry.repo_id, tmp_path / "repo")
    ref = SaeRef("llama_scope", entry.repo_id, entry.path, entry.release, entry.sae_id)
    sae = load_sae(ref, SaeConfig(sae_dtype=dtype))
    assert sae.metadata["input_scale"] == pytest.approx(scale)
    x = inputs(16, 0.3)
    assert_equals_encode(sae, from_pretrained(entry.release, entry.sae_id, dtype), x)


def test_gemma_scope_of_the_hub_is_the_same_file_on_the_disk(cache, tmp_path):
    repo, path = "google/gemma-scope-2b-pt-res", "layer_0/width_16k/average_l0_105"
    file = tiny.gemma_scope(tmp_path / "repo", path, 16, N_FEATURES)
    cache(repo, tmp_path / "repo")
    sae = load_sae(SaeRef("gemma_scope", repo, path))
    assert sae.fingerprint == {"repo": repo, "path": f"{path}/params.npz", "revision": COMMIT}
    x = inputs(16)
    assert torch.equal(sae.fires(x), load_sae(SaeRef("local", path=str(file))).fires(x))


def test_any_other_release_is_loaded_by_saelens_without_a_word(cache, tmp_path, capfd):
    repo, sae_id = "jbloom/GPT2-Small-SAEs-Reformatted", "blocks.3.hook_resid_pre"
    told = {"hook_name": sae_id}
    tiny.saelens(tmp_path / "repo" / sae_id, "standard", 16, N_FEATURES, metadata=told)
    cache(repo, tmp_path / "repo")
    ref = SaeRef("saelens", repo, sae_id, "gpt2-small-res-jb", sae_id)
    sae = load_sae(ref)
    assert capfd.readouterr() == ("", "")
    assert_equals_encode(sae, from_pretrained("gpt2-small-res-jb", sae_id), inputs(16))
    assert sae.fingerprint == {"repo": repo, "path": sae_id, "revision": COMMIT}
    assert sae.metadata["hook_name"] == sae_id


def test_a_model_of_the_hub_is_known_by_its_commit(cache, tmp_path):
    folder = tiny.llama(tmp_path / "model")
    cache("owner/tiny", folder)
    point = HookPoint(1, "res")
    model = load_language_model("owner/tiny", [point])
    assert model.fingerprint == {"repo": "owner/tiny", "revision": COMMIT}
    here = load_language_model(str(folder), [point])
    ids = model.tokenize(tiny.TEXTS, 20)
    assert torch.equal(model.activations(ids)[point], here.activations(ids)[point])
