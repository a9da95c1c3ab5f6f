"""delphi's activation cache: splits by feature, rows of tokens as documents.

Expected features and layout are those of EleutherAI/delphi's own reader
(delphi/latents/loader.py, ``TensorBuffer.load``), repeated in :func:`read_as_delphi`.
"""

import json
from itertools import pairwise

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from collect.imported import cases
from collect.imported.test_import import stored
from sfal.collect.imported.driver import import_firings
from sfal.collect.imported.settings import ImportSettings
from sfal.errors import CorruptError, InvalidInputError, MissingError

WIDTH, ROWS, LENGTH = 30, 12, 16
NAME = "lm/5-theirs"


def cache(folder, seed=0, n_splits=3, tokens=True, dtype=np.uint16):
    """Write a cache as ``LatentCache.save_splits`` does; return its rows."""
    rng = np.random.default_rng(seed)
    latents = rng.normal(size=(ROWS, LENGTH, WIDTH)) * (rng.random((ROWS, LENGTH, WIDTH)) < 0.1)
    locations = np.stack(np.nonzero(np.abs(latents) > 1e-5), axis=1)
    activations = latents[tuple(locations.T)]
    ids = rng.integers(0, 9, (ROWS, LENGTH))
    folder.mkdir(parents=True, exist_ok=True)
    bounds = np.linspace(0, WIDTH, n_splits + 1).astype(int)
    for start, stop in pairwise(bounds):
        inside = (locations[:, 2] >= start) & (locations[:, 2] < stop)
        here = locations[inside] - [0, 0, start]
        split = {
            "locations": here.astype(dtype),
            "activations": activations[inside].astype(np.float16),
        }
        save_file(
            split | ({"tokens": ids} if tokens else {}),
            folder / f"{start}_{stop - 1}.safetensors",
        )
    (folder / "config.json").write_text(json.dumps({"model_name": "o/lm", "cache_ctx_len": LENGTH}))
    return np.concatenate([locations, activations[:, None]], axis=1), ids


def read_as_delphi(folder):
    """Return the locations of all splits with whole features, and the activations."""
    found = []
    for path in sorted(folder.glob("*.safetensors")):
        data = load_file(path)
        locations = data["locations"].astype(np.int64)
        locations[:, 2] += int(path.name.split("_")[0])
        found.append(np.concatenate([locations, data["activations"][:, None]], axis=1))
    return np.concatenate(found)


def imported(tmp_path, files, **settings):
    return import_firings(files, NAME, ImportSettings(**{"window_size": 5, **settings}), tmp_path)


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.int64])
@pytest.mark.parametrize("special", [(), (0, 3)])
def test_splits_are_merged_and_their_features_counted_from_their_start(tmp_path, special, dtype):
    _, ids = cache(tmp_path / "cache", dtype=dtype)
    result = imported(tmp_path / "data", tmp_path / "cache", special_ids=special)
    rows = read_as_delphi(tmp_path / "cache")
    assert stored(result.folder) == cases.expected(rows, 5, "drop", ids, special)
    assert result.manifest.n_features == WIDTH
    assert result.manifest.source.model == "o/lm"
    assert result.manifest.counts.documents == ROWS
    assert result.notes == ()


def test_unknown_special_tokens_are_said(tmp_path):
    cache(tmp_path / "cache")
    (note,) = imported(tmp_path / "data", tmp_path / "cache").notes
    assert "BOS, EOS and PAD of o/lm" in str(note)
    assert "special_ids" in note.hint


def test_the_special_ids_of_a_named_model_are_those_of_its_tokenizer(tmp_path):
    import tiny

    tiny.gemma2(tmp_path / "lm", layers=1, d_model=16)
    _, ids = cache(tmp_path / "cache")
    result = imported(tmp_path / "data", tmp_path / "cache", model=str(tmp_path / "lm"))
    (note,) = result.notes
    assert "do not count as tokens" in str(note)
    special = result.manifest.settings["imported"]["special_ids"]
    assert special
    rows = read_as_delphi(tmp_path / "cache")
    assert stored(result.folder) == cases.expected(rows, 5, "drop", ids, special)
    assert result.manifest.source.model == "lm"


def test_without_tokens_the_length_is_that_of_the_configuration(tmp_path):
    cache(tmp_path / "cache", tokens=False)
    result = imported(tmp_path / "data", tmp_path / "cache")
    assert result.manifest.counts.windows == ROWS * (LENGTH // 5)
    assert ["how many documents" in str(note) for note in result.notes] == [True]


def test_a_cache_saved_whole_counts_features_from_0(tmp_path):
    cache(tmp_path / "cache", n_splits=1)
    whole = tmp_path / "cache" / f"0_{WIDTH - 1}.safetensors"
    path = whole.rename(tmp_path / "layers.5.safetensors")
    result = imported(tmp_path / "data", path, n_features=WIDTH, special_ids=())
    assert result.manifest.n_features == WIDTH


def test_bfloat16_activations_are_read(tmp_path):
    import torch
    from safetensors.torch import save_file as save_torch

    save_torch(
        {
            "locations": torch.tensor([[0, 0, 1], [0, 1, 2], [0, 2, 3]]),
            "activations": torch.tensor([1.5, -1.5, 0.0], dtype=torch.bfloat16),
            "tokens": torch.zeros(1, 5, dtype=torch.int64),
        },
        tmp_path / "0_9.safetensors",
    )
    result = imported(tmp_path / "data", tmp_path / "0_9.safetensors", special_ids=())
    assert stored(result.folder) == {(0, 0): [1]}


def test_a_missing_split_is_refused_or_noted_if_the_width_is_stated(tmp_path):
    cache(tmp_path / "cache")
    (tmp_path / "cache" / "10_19.safetensors").unlink()
    with pytest.raises(InvalidInputError, match="no file holds features 10 to 19"):
        imported(tmp_path / "data", tmp_path / "cache")
    result = imported(tmp_path / "data", tmp_path / "cache", n_features=40, special_ids=())
    assert "features 10 to 19, 30 to 39" in str(result.notes[0])


def test_the_folder_of_all_modules_names_them(tmp_path):
    cache(tmp_path / "latents" / "layers.5")
    with pytest.raises(MissingError, match=r"name one of layers\.5"):
        imported(tmp_path / "data", tmp_path / "latents")


def _other_tokens(folder):
    path = folder / "10_19.safetensors"
    data = load_file(path)
    data["tokens"][3, 4] += 1
    save_file(data, path)


def _renamed(folder):
    (folder / "10_19.safetensors").rename(folder / "10_14.safetensors")
    (folder / "20_29.safetensors").rename(folder / "15_29.safetensors")


def _cut(folder):
    path = folder / "10_19.safetensors"
    path.write_bytes(path.read_bytes()[:-5])


def _no_locations(folder):
    save_file({"activations": np.ones(3)}, folder / "10_19.safetensors")


def _shapes(folder):
    arrays = {"locations": np.ones((3, 2), np.uint16), "activations": np.ones(3)}
    save_file(arrays, folder / "10_19.safetensors")


def _beyond_the_tokens(folder):
    path = folder / "10_19.safetensors"
    data = load_file(path)
    data["locations"][7] = (2, LENGTH, 0)
    save_file(data, path)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (_other_tokens, InvalidInputError, "different tokens"),
        (_renamed, InvalidInputError, "by its name the file holds 5"),
        (_cut, CorruptError, "cannot be read as safetensors"),
        (_no_locations, InvalidInputError, "has no locations"),
        (_shapes, InvalidInputError, r"locations has shape \(3, 2\)"),
        (_beyond_the_tokens, InvalidInputError, "names token 16 of document 2, which has 16"),
    ],
)
def test_a_spoilt_cache_is_refused_in_one_line(tmp_path, spoil, error, message):
    cache(tmp_path / "cache")
    spoil(tmp_path / "cache")
    with pytest.raises(error, match=message) as caught:
        imported(tmp_path / "data", tmp_path / "cache", special_ids=())
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data" / "lm").exists()


def test_files_left_beside_those_given_are_said(tmp_path):
    cache(tmp_path / "cache")
    result = imported(tmp_path / "data", tmp_path / "cache" / "0_9.safetensors", special_ids=())
    [note] = result.notes
    assert "not imported: 10_19.safetensors, 20_29.safetensors" in str(note)


def test_caches_of_whole_saes_are_not_mixed(tmp_path):
    cache(tmp_path / "cache", n_splits=1)
    whole = (tmp_path / "cache" / "0_29.safetensors").read_bytes()
    for name in ("layers.3", "layers.4"):
        (tmp_path / "both").mkdir(exist_ok=True)
        (tmp_path / "both" / f"{name}.safetensors").write_bytes(whole)
    with pytest.raises(InvalidInputError, match=r"layers\.3.* is the cache of a whole SAE"):
        imported(tmp_path / "data", tmp_path / "both")
    alone = imported(tmp_path / "data", tmp_path / "both" / "layers.4.safetensors", special_ids=())
    assert alone.manifest.n_features <= WIDTH
