"""Which SAE a request means, and the name of its folder."""

import json
from pathlib import Path

import pytest

from sfal.cli.hints import told
from sfal.errors import ArtifactError, DownloadError, InvalidInputError, UnknownSaeError
from sfal.io import hub
from sfal.sources import resolve_gemma, resolve_llama, resolve_local, resolve_named, resolve_saelens

REPO = "google/gemma-scope-2b-pt-res"


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files of the only repository that the hub has."""
    files: list[str] = []
    monkeypatch.setattr(hub, "list_files", lambda repo_id: list(files))
    return files


def test_gemma_takes_the_variant_that_neuronpedia_explains() -> None:
    sources = resolve_gemma(online=False)
    assert [s.layer for s in sources] == [0, 5, 10, 15, 25]
    assert sources[0].name == sources[0].neuronpedia_id == "gemma-2-2b/0-gemmascope-res-16k"
    assert sources[0].sae.path == "layer_0/width_16k/average_l0_105"
    assert not any(s.notes for s in sources)


def test_gemma_9b_takes_the_layers_of_the_paper() -> None:
    sources = resolve_gemma("google/gemma-2-9b", online=False)
    assert [s.layer for s in sources] == [0, 8, 17, 25, 41]
    assert [str(s.sae.path).rpartition("_")[2] for s in sources] == [
        "129",
        "99",
        "73",
        "114",
        "113",
    ]


def test_a_target_l0_takes_the_nearest_and_warns_that_another_is_explained() -> None:
    (source,) = resolve_gemma(layers=[5], target_l0=143, online=False)
    assert source.sae.path == "layer_5/width_16k/average_l0_143"
    assert source.name == "gemma-2-2b/5-gemmascope-res-16k__l0-143"
    assert "average_l0_68" in str(source.notes[0])


def test_the_repository_on_the_hub_says_what_exists(repository: list[str]) -> None:
    repository += [
        "layer_0/width_16k/average_l0_13/params.npz",
        "layer_0/width_16k/average_l0_90/params.npz",
        "embedding/width_4k/average_l0_6/params.npz",
        "README.md",
    ]
    (source,) = resolve_gemma(layers=[0])
    assert source.sae.path == "layer_0/width_16k/average_l0_90"
    assert source.name == "gemma-2-2b/0-gemmascope-res-16k__l0-90"
    assert source.neuronpedia_id is None
    with pytest.raises(UnknownSaeError, match="no SAE on layer 3; it has layers 0"):
        resolve_gemma(layers=[3])
    with pytest.raises(UnknownSaeError, match="width 65k on layer 0; width can be 16k"):
        resolve_gemma(layers=[0], width="65k")


def test_without_a_network_the_registry_says_what_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(repo_id: str) -> list[str]:
        raise DownloadError("no network")

    monkeypatch.setattr(hub, "list_files", unreachable)
    assert resolve_gemma(layers=[0])[0].sae.path == "layer_0/width_16k/average_l0_105"


def test_each_site_has_its_own_repository_and_name() -> None:
    sources = resolve_gemma(layers=[0], sites=["res", "mlp", "att"], online=False)
    assert [s.sae.repo_id for s in sources] == [REPO, REPO[:-3] + "mlp", REPO[:-3] + "att"]
    assert [s.name.rpartition("/")[2] for s in sources] == [
        "0-gemmascope-res-16k",
        "0-gemmascope-mlp-16k",
        "0-gemmascope-att-16k",
    ]


def test_a_model_that_gemma_scope_does_not_cover_is_refused_with_advice() -> None:
    with pytest.raises(UnknownSaeError, match="name the SAE") as refused:
        resolve_gemma("gpt2")
    assert "`sfal cooc sae` with --release and --sae-id" in told(refused.value)


def test_llama_takes_the_layers_of_the_paper() -> None:
    sources = resolve_llama()
    assert [s.layer for s in sources] == [0, 8, 17, 25, 31]
    assert sources[0].name == "llama3.1-8b/0-llamascope-res-32k"
    assert sources[1].sae.path == "Llama3_1-8B-Base-L8R-8x"


def test_llama_layers_that_do_not_exist_are_refused_with_those_that_do() -> None:
    with pytest.raises(UnknownSaeError, match="no SAE on layer 32; it has 0-31"):
        resolve_llama(layers=[32])


def test_saelens_releases_of_gemma_scope_use_its_own_layout() -> None:
    source = resolve_saelens("gemma-scope-2b-pt-mlp-canonical", "layer_0/width_16k/canonical")
    assert source.sae.kind == "gemma_scope"
    assert (source.site, source.layer, source.model) == ("mlp", 0, "google/gemma-2-2b")
    assert source.name == "gemma-2-2b/0-gemmascope-mlp-16k"


def test_saelens_llama_attention_reads_what_attention_adds() -> None:
    source = resolve_saelens("llama_scope_lxa_8x", "l3a_8x")
    assert (source.sae.kind, source.site, source.layer) == ("llama_scope", "attn_out", 3)


@pytest.mark.parametrize(
    ("release", "sae_id", "said"),
    [
        ("gemma-scope-2b-pt-ress", "x", "perhaps gemma-scope-2b-pt-res"),
        ("llama_scope_lxr_8x", "l99r_8x", "`sfal sources llama_scope_lxr_8x` lists its 32"),
    ],
)
def test_unknown_releases_and_ids_name_similar_ones(release: str, sae_id: str, said: str) -> None:
    with pytest.raises(UnknownSaeError) as error:
        resolve_saelens(release, sae_id)
    assert said in told(error.value)


def saelens_folder(path: Path, **metadata: object) -> Path:
    path.mkdir()
    (path / "cfg.json").write_text(json.dumps({"architecture": "jumprelu", "metadata": metadata}))
    return path


def test_the_configuration_of_a_local_folder_gives_model_site_and_layer(tmp_path: Path) -> None:
    folder = saelens_folder(
        tmp_path / "my-sae", hook_name="blocks.3.hook_resid_post", model_name="org/Model-1"
    )
    source = resolve_local(folder)
    assert (source.model, source.site, source.layer) == ("org/Model-1", "res", 3)
    assert source.name == "model-1/3-my-sae-res"
    assert source.neuronpedia_id is None


def test_arguments_override_the_configuration_of_a_local_folder(tmp_path: Path) -> None:
    folder = saelens_folder(tmp_path / "sae", hook_name="blocks.3.hook_resid_post", model_name="m")
    source = resolve_local(folder, model="gpt2", site="mlp", layer=1)
    assert (source.model, source.site, source.layer) == ("gpt2", "mlp", 1)


def test_a_local_file_without_a_configuration_needs_arguments(tmp_path: Path) -> None:
    path = tmp_path / "params.npz"
    path.write_bytes(b"")
    with pytest.raises(InvalidInputError, match=r"name it with model$"):
        resolve_local(path)
    with pytest.raises(InvalidInputError, match="give site and layer"):
        resolve_local(path, model="gpt2")
    assert resolve_local(path, model="gpt2", site="res", layer=2).name == "gpt2/2-params-res"


def test_a_missing_or_broken_local_sae_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="nowhere"):
        resolve_local(tmp_path / "nowhere", model="m", site="res", layer=0)
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "cfg.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"cfg\.json"):
        resolve_local(folder)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gemma-2-2b/20-gemmascope-res-16k", "gemma_scope"),
        ("gemma-2-2b/5-gemmascope-res-16k__l0-143", "gemma_scope"),
        ("llama3.1-8b/17-llamascope-mlp-32k", "llama_scope"),
    ],
)
def test_a_neuronpedia_id_names_its_source(name: str, kind: str) -> None:
    source = resolve_named(name)
    assert (source.name, source.neuronpedia_id, source.sae.kind) == (name, name, kind)


def test_an_unknown_neuronpedia_id_names_similar_ones() -> None:
    with pytest.raises(UnknownSaeError, match="perhaps gemma-2-2b/20-gemmascope-res-16k"):
        resolve_named("gemma-2-2b/20-gemmascope-res-16")


def test_the_scopes_sources_say_which_model_their_saes_are_for() -> None:
    (gemma,) = resolve_gemma("google/gemma-2-9b-it", [9], online=False)
    assert gemma.training.model == "google/gemma-2-9b-it"
    (llama,) = resolve_llama("meta-llama/Llama-3.1-8B-Instruct", [0])
    assert llama.training.model == "meta-llama/Llama-3.1-8B"
    assert llama.model == "meta-llama/Llama-3.1-8B-Instruct"
    assert llama.training.context_size == 1024


def test_transformerlens_names_in_a_local_folder_mean_their_repositories(tmp_path: Path) -> None:
    for name, repository in (
        ("gpt2-small", "openai-community/gpt2"),
        ("mistral-7b", "mistralai/Mistral-7B-v0.1"),
        ("tiny", "tiny"),
    ):
        told = {"model_name": name, "hook_name": "model.layers.2.mlp"}
        (tmp_path / "cfg.json").write_text(json.dumps({"d_sae": 3, "metadata": told}))
        source = resolve_local(tmp_path)
        assert source.model == repository
        assert (source.site, source.layer) == ("custom", 2)
        assert source.hook_module == "model.layers.2.mlp"
