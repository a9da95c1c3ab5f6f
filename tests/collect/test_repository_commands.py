"""SAEs in any repository of the hub that has SAELens' layout, by the real commands."""

import pytest

import tiny
from collect import oracle
from servers import hub as hub_server
from servers.launcher import launcher
from sfal.store.manifest import Manifest

HOOKS = ("blocks.1.hook_resid_post", "blocks.2.hook_resid_pre")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    root = tmp_path_factory.mktemp("repositories")
    told = {"model_name": "someone/tiny-model"}
    with hub_server.serve() as hub:
        hub.add("someone/tiny-model", tiny.llama(root / "model"))
        hub.add("someone/none", tiny.llama(root / "model"))
        for hook in HOOKS:
            tiny.saelens(
                root / "several" / hook, "standard", 16, 24, metadata={**told, "hook_name": hook}
            )
        hub.add("someone/their-saes", root / "several")
        hub.add("someone/one-sae", tiny.saelens(root / "one", "jumprelu", 16, 24, metadata=told))
        (root / "broken").mkdir()
        (root / "broken" / "cfg.json").write_text('{"metadata": {"model_name": 3}}')
        hub.add("someone/broken", root / "broken")
        yield hub


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "c.jsonl"
    oracle.write_jsonl(path, oracle.texts(30, longest=60))
    return path


@pytest.fixture(scope="module")
def sfal(served, corpus, tmp_path_factory):
    home = tmp_path_factory.mktemp("launched")
    with launcher(home, **served.environment(home / "hf-home")) as one:
        yield lambda data, *words: one.run(
            "cooc", "sae", "--release", *words, "--corpus", str(corpus), "--k", "8", "--n-docs",
            "30", "--device", "cpu", "--data-dir", str(data), cwd=home,
        )  # fmt: skip


def test_an_sae_is_fetched_by_repository_and_folder(sfal, served, tmp_path):
    done = sfal(tmp_path, "someone/their-saes", "--sae-id", HOOKS[1])
    assert done.returncode == 0, done.stderr
    assert "Note" not in done.stderr
    folder = tmp_path / "tiny-model" / "2-someone-their-saes-blocks.2.hook_resid_pre"
    manifest = Manifest.load(folder)
    assert (manifest.source.site, manifest.source.layer) == ("res_pre", 2)
    assert manifest.fingerprints["sae"] == {
        "repo": "someone/their-saes",
        "path": f"{HOOKS[1]}/sae_weights.safetensors",
        "revision": served.commit("models", "someone/their-saes"),
    }
    assert manifest.notes == ()
    again = sfal(tmp_path, "someone/their-saes", "--sae-id", HOOKS[1])
    assert "counted before" in again.stdout


def test_an_sae_at_the_root_needs_no_id(sfal, tmp_path):
    done = sfal(tmp_path, "someone/one-sae")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tiny-model" / "1-someone-one-sae" / "manifest.json").exists()


def test_several_saes_are_listed_if_none_is_named(sfal, tmp_path):
    done = sfal(tmp_path, "someone/their-saes")
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: someone/their-saes holds 2 SAEs: {HOOKS[0]}, {HOOKS[1]}; name one with --sae-id\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["someone/none"], "someone/none holds no cfg.json"),
        (["someone/missing"], "someone/missing"),
        (["someone/their-saes", "--sae-id", "nose"], "nose/cfg.json of someone/their-saes"),
        (["someone/broken"], "someone/broken: model_name is '3', not a text"),
        (["gpt2-small-res-jb"], "holds 13 SAEs; name one with --sae-id"),
        (["someones"], "SAELens knows no release 'someones'"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(sfal, tmp_path, words, said):
    done = sfal(tmp_path, *words)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
