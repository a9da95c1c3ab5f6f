"""Which SAE Neuronpedia explained, from its export's record of the source."""

import json

import pytest

import tiny_layouts as made
from servers import s3
from sfal.errors import CorruptError, DownloadError, InvalidInputError, UnknownSaeError
from sfal.io.web.http import Patience
from sfal.sources import repository, resolve_named
from sfal.sources.configuration.layouts import layout_of
from sfal.sources.neuronpedia import ExplainedSae, explained_sae, explanation_notes
from sfal.sources.source import SaeRef, Source

NAME = "some-model/3-some-source"
KEY = f"v1/{NAME}/source.jsonl"
QUICK = Patience(rate_seconds=0.5, attempts=1)


def record(**fields):
    return (json.dumps({"id": "3-some-source", "modelId": "some-model", **fields}) + "\n").encode()


@pytest.fixture
def bucket(monkeypatch):
    with s3.serve({}) as bucket:
        monkeypatch.setenv("SFAL_NEURONPEDIA_URL", bucket.url)
        yield bucket


def test_a_record_names_a_release_and_a_folder(bucket):
    bucket.objects[KEY] = record(
        saelensRelease="r",
        saelensSaeId="s",
        hfRepoId="a/b",
        hfFolderId="c/d",
        saelensConfig={"x": 1},
    )
    found = explained_sae(NAME, QUICK)
    assert found == ExplainedSae("r", "s", "a/b", "c/d", {"x": 1})
    assert list(found.places()) == [("r", "s"), ("a/b", "c/d")]


@pytest.mark.parametrize(
    ("fields", "places"),
    [
        ({}, []),
        ({"saelensRelease": "r"}, []),
        ({"hfRepoId": "a/b", "hfFolderId": None}, [("a/b", None)]),
        ({"hfRepoId": "a/b", "hfFolderId": ""}, [("a/b", None)]),
        ({"hfRepoId": "a/b", "hfFolderId": "/c/d/"}, [("a/b", "c/d")]),
        ({"hfRepoId": "https://huggingface.co/a/b", "hfFolderId": "c"}, [("a/b", "c")]),
        ({"hfRepoId": "../../etc", "hfFolderId": "c"}, []),
        ({"hfRepoId": 3, "hfFolderId": ["c"], "saelensRelease": {}, "saelensConfig": 3}, []),
        ({"hfRepoId": "a/b\0", "saelensConfig": "{"}, []),
    ],
)
def test_whatever_of_it_is_usable_is_used(fields, places):
    assert list(ExplainedSae.parse(record(**fields), "x").places()) == places


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 99_999, b"null", b"3"])
def test_a_damaged_record_is_one_line(bucket, content):
    bucket.objects[KEY] = content
    with pytest.raises(CorruptError, match=r"source\.jsonl"):
        explained_sae(NAME, QUICK)


def test_an_unknown_source_and_a_dead_server_are_told_apart(bucket, monkeypatch):
    assert explained_sae(NAME, QUICK) is None
    assert explained_sae("no id", QUICK) is None
    assert explained_sae("../x", QUICK) is None
    monkeypatch.setenv("SFAL_NEURONPEDIA_URL", "http://127.0.0.1:9")
    with pytest.raises(DownloadError):
        explained_sae(NAME, QUICK)


SCOPE = {
    "hfRepoId": "google/gemma-scope-2b-pt-res",
    "hfFolderId": "layer_3/width_16k/average_l0_59",
}


@pytest.mark.parametrize(
    "fields",
    [
        {
            "saelensRelease": "gemma-scope-2b-pt-res",
            "saelensSaeId": "layer_3/width_16k/average_l0_59",
        },
        SCOPE,
        {**SCOPE, "saelensRelease": "no-such-release", "saelensSaeId": "x"},
    ],
)
def test_a_source_that_the_registry_lacks_is_the_sae_that_the_export_names(bucket, fields):
    bucket.objects[KEY] = record(**fields)
    source = resolve_named(NAME)
    assert (source.name, source.neuronpedia_id) == (NAME, NAME)
    assert (source.sae.kind, source.sae.path) == ("gemma_scope", SCOPE["hfFolderId"])
    assert (source.model, source.layer, source.site) == ("google/gemma-2-2b", 3, "res")


def asked_for(monkeypatch, *answers):
    """Let repositories answer in turn, and return what was asked of them."""
    asked, left = [], list(answers)

    def resolve_repository(repo_id, folder, known=None):
        asked.append((repo_id, folder, known))
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(repository, "resolve_repository", resolve_repository)
    return asked


def test_a_repository_that_the_registry_lacks_is_asked_for(bucket, monkeypatch):
    bucket.objects[KEY] = record(hfRepoId="someone/saes", hfFolderId="blocks.3.hook_resid_post")
    asked = asked_for(monkeypatch, UnknownSaeError("no luck"))
    with pytest.raises(UnknownSaeError, match="export it cannot be loaded: no luck"):
        resolve_named(NAME)
    assert asked == [("someone/saes", "blocks.3.hook_resid_post", {})]


@pytest.mark.parametrize("error", [InvalidInputError, DownloadError, CorruptError])
def test_after_any_error_the_next_place_is_tried(bucket, monkeypatch, error):
    bucket.objects[KEY] = record(
        saelensRelease="some/one", saelensSaeId="x", hfRepoId="someone/saes", hfFolderId="y"
    )
    found = Source("n", "m", "res", 1, SaeRef("repository", repo_id="someone/saes", path="y"))
    asked = asked_for(monkeypatch, error("no luck", hint="try again"), found)
    assert resolve_named(NAME).sae == found.sae
    assert [place[:2] for place in asked] == [("some/one", "x"), ("someone/saes", "y")]
    asked_for(monkeypatch, UnknownSaeError("not there"), error("no luck", hint="try again"))
    with pytest.raises(error, match="not there; no luck; try again"):
        resolve_named(NAME)


def test_what_a_repository_does_not_say_the_exports_configuration_does(
    bucket, monkeypatch, tmp_path
):
    config = {"hook_point": "blocks.3.hook_mlp_out", "model_name": "gpt2-small", "lr": 1}
    made.sparsify(tmp_path / "any", 8, 24)
    layout = layout_of(tmp_path / "any")
    monkeypatch.setattr(repository, "repository_layout", lambda repo_id, folder: layout)
    for spelled in (config, json.dumps(config)):
        bucket.objects[KEY] = record(
            hfRepoId="someone/saes", hfFolderId="any", saelensConfig=spelled
        )
        source = resolve_named(NAME)
        assert (source.model, source.site, source.layer) == ("openai-community/gpt2", "mlp", 3)
        assert source.training.unknown == ()
    # The repository's own words count before those of the export.
    monkeypatch.setattr(
        repository, "describe", lambda layout: {"hook_name": "blocks.2.hook_mlp_out"}
    )
    assert resolve_named(NAME).layer == 2


def test_without_a_place_the_error_says_what_the_sae_reads(bucket):
    bucket.objects[KEY] = record(saelensConfig={"hook_name": "blocks.3.hook_z", "model_name": "m"})
    with pytest.raises(UnknownSaeError, match=r"only that the SAE reads blocks\.3\.hook_z of m"):
        resolve_named(NAME)


def test_the_error_says_what_neuronpedia_knows(bucket, monkeypatch):
    with pytest.raises(UnknownSaeError, match="Neuronpedia's export has no such source"):
        resolve_named(NAME)
    bucket.objects[KEY] = record()
    with pytest.raises(UnknownSaeError, match="names neither a SAELens release nor a repository"):
        resolve_named(NAME)
    bucket.objects[KEY] = b"{"
    with pytest.raises(UnknownSaeError, match="cannot be read as JSON"):
        resolve_named(NAME)
    monkeypatch.setenv("SFAL_NEURONPEDIA_URL", "http://127.0.0.1:9")
    with pytest.raises(UnknownSaeError, match="does not answer"):
        resolve_named(NAME)


def test_only_gemma_scopes_first_transcoders_were_explained_elsewhere():
    assert explanation_notes("gemma-2-2b/25-gemmascope-transcoder-16k")
    for name in (
        None,
        "gemma-2-2b/25-gemmascope-res-16k",
        "gemma-3-4b-it/0-gemmascope-2-transcoder-16k",
    ):
        assert explanation_notes(name) == ()
