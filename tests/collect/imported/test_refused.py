"""What cannot be imported is refused in one line, and leaves nothing."""

import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collect.imported import cases
from collect.imported.test_import import stored
from sfal.collect.imported import driver
from sfal.collect.imported.driver import import_firings
from sfal.collect.imported.settings import ImportSettings, parse_columns, parse_ids
from sfal.errors import CorruptError, InvalidInputError, MissingError, SettingsMismatchError

NAME = "lm/3-theirs"


def imported(tmp_path, files, **settings):
    settings = ImportSettings(**{"window_size": 4, "n_features": 40, **settings})
    return import_firings(files, NAME, settings, tmp_path / "data")


def refused(tmp_path, files, error, message, **settings):
    with pytest.raises(error, match=message) as caught:
        imported(tmp_path, files, **settings)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data" / "lm").exists()


GOOD = [[0, 0, 3, 1.0], [0, 5, 4, 1.0], [1, 3, 3, 0.5]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1, 2, 40, 1], "row 3 has feature 40, but the SAE has 40, from 0"),
        ([1, 2, -1, 1], "row 3 has feature -1"),
        ([1, -2, 3, 1], "row 3 has position or window -2"),
        ([-1, 2, 3, 1], "row 3 has document -1"),
        ([1, 2, 3, float("nan")], "row 3 has activation NaN"),
        ([1, 2.5, 3, 1], r"row 3 has position 2\.5"),
        ([1, 1e12, 3, 1], "document 1 would have .* windows"),
        ([1, float("inf"), 3, 1], "row 3 has position inf"),
    ],
)
@pytest.mark.parametrize("kind", ["parquet", "csv", "npz"])
def test_a_bad_number_is_named_with_its_row(tmp_path, row, message, kind):
    rows = np.array([*GOOD, row], dtype=float)
    names = ("document", "position", "feature", "activation")
    columns = dict(zip(names, rows.T, strict=True))
    path = tmp_path / f"f.{kind}"
    if kind == "npz":
        np.savez(path, **columns)
    elif kind == "parquet":
        pq.write_table(pa.table(columns), path)
    else:
        lines = [",".join(names), *(",".join(map(repr, map(float, row))) for row in rows)]
        path.write_text("\n".join(lines), encoding="utf-8")
    refused(tmp_path, path, InvalidInputError, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no document and no feature and no position or window; its columns are none"),
        ("document,feature\n0,1", "has no position or window; its columns are document, feature"),
        ("0,1,2\n3,4,5", "has no header"),
        ("\ndocument,position,feature\n0,1,2", "has no header: its first line is empty"),
        ("document,doc,position,feature\n0,0,1,2", "either could be its document"),
        ("document,position,feature\n0,0,", "row 0 has no feature"),
        ("document,position,feature\n0,a,1", "row 0 has position 'a', which is not a number"),
        ("document,position,feature\n0,1,1\n0,1", "cannot be read as CSV"),
    ],
)
def test_a_bad_csv(tmp_path, text, message):
    path = tmp_path / "f.csv"
    path.write_text(text, encoding="utf-8")
    refused(tmp_path, path, (InvalidInputError, CorruptError), message)


@pytest.mark.parametrize("kind", ["parquet", "csv.gz", "npz", "safetensors"])
def test_a_file_cut_short_is_damaged(tmp_path, kind):
    import gzip

    rows = cases.firings(1, 30, 40)
    path = tmp_path / f"f.{kind}"
    whole = cases.parquet(tmp_path / "whole.parquet", rows)
    if kind == "parquet":
        content = whole.read_bytes()
    elif kind == "csv.gz":
        text = "document,position,feature\n" + "0,1,2\n" * 1000
        content = gzip.compress(text.encode())
    elif kind == "npz":
        np.savez_compressed(tmp_path / "whole.npz", document=rows[:, 0], position=rows[:, 1],
                            feature=rows[:, 2])  # fmt: skip
        content = (tmp_path / "whole.npz").read_bytes()
    else:
        from safetensors.numpy import save

        content = save({"locations": rows[:, :3].copy(), "activations": np.ones(len(rows))})
    path.write_bytes(content[:-9])
    refused(tmp_path, path, CorruptError, "cannot be read as")


def test_a_gzipped_table_damaged_at_its_start_is_damaged(tmp_path):
    import gzip

    path = tmp_path / "f.csv.gz"
    content = bytearray(gzip.compress(b"document,position,feature\n0,1,2\n"))
    content[10:20] = b"\xff" * 10
    path.write_bytes(content)
    refused(tmp_path, path, CorruptError, "cannot be read as CSV")


def test_a_member_of_an_npz_that_is_changed_is_damaged(tmp_path):
    rows = cases.firings(1, 30, 40)
    path = tmp_path / "f.npz"
    np.savez(path, document=rows[:, 0], position=rows[:, 1], feature=rows[:, 2])
    content = bytearray(path.read_bytes())
    content[600] ^= 1
    path.write_bytes(content)
    refused(tmp_path, path, CorruptError, "cannot be read as npz")


def test_objects_in_an_npz_are_not_unpickled(tmp_path):
    path = tmp_path / "f.npz"
    same = np.array([0, 1])
    np.savez(path, document=same, position=same, feature=np.array([{}, 1], object))
    refused(tmp_path, path, InvalidInputError, "array feature is of type object")


def test_arrays_of_different_lengths_are_refused(tmp_path):
    path = tmp_path / "f.npz"
    np.savez(path, document=[0, 1], position=[0, 1], feature=[0])
    refused(tmp_path, path, InvalidInputError, "equal lengths")


def test_files_of_different_kinds_are_refused(tmp_path):
    rows = np.array(GOOD)
    one = cases.parquet(tmp_path / "a.parquet", rows)
    other = tmp_path / "b.parquet"
    pq.write_table(cases.table(rows).drop_columns(["activation"]), other)
    text = tmp_path / "c.csv"
    text.write_text("document,position,feature\n0,1,2\n", encoding="utf-8")
    refused(tmp_path, [one, other], InvalidInputError, "has columns")
    refused(tmp_path, [one, text], InvalidInputError, "has layout")
    refused(tmp_path, [one, one], InvalidInputError, "named twice")


def test_paths_that_are_no_firings_are_refused(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"x")
    refused(tmp_path, tmp_path / "none.csv", MissingError, "there is no file or folder")
    refused(tmp_path, tmp_path / "x.pt", InvalidInputError, "unknown kind")
    refused(tmp_path, tmp_path, MissingError, "holds no file that ends in")


def test_facts_that_contradict_the_settings_are_refused(tmp_path):
    path = cases.parquet(tmp_path / "f.parquet", np.array(GOOD))
    refused(tmp_path, path, InvalidInputError, "names document 1, but there are 1", n_docs=1)
    refused(
        tmp_path, path, InvalidInputError, "names token 5 of document 0, which has 5",
        document_length=5,
    )  # fmt: skip
    refused(tmp_path, path, InvalidInputError, "does not hold the tokens", special_ids=(0,))
    refused(
        tmp_path, path, InvalidInputError, "long enough for a window of 50 tokens", window_size=50
    )


def test_a_file_in_which_nothing_fires_is_refused(tmp_path):
    rows = np.array(GOOD)
    rows[:, 3] = 0
    path = cases.parquet(tmp_path / "f.parquet", rows)
    refused(tmp_path, path, InvalidInputError, "none of 3 rows fires")


def test_the_settings_are_checked():
    with pytest.raises(InvalidInputError, match="columns names time"):
        ImportSettings(columns={"time": "t"})
    with pytest.raises(InvalidInputError, match="window_size"):
        ImportSettings(window_size=0)
    with pytest.raises(InvalidInputError, match="document=NAME"):
        parse_columns("document")
    with pytest.raises(InvalidInputError, match="token id"):
        parse_ids("1,x")
    assert parse_ids("") == ()
    assert parse_ids("3, 1 3") == (1, 3)
    assert parse_columns("document=a b, feature=c") == {"document": "a b", "feature": "c"}


def test_a_second_import_is_the_first_or_is_refused(tmp_path):
    rows = cases.firings(1, 20, 40)
    path = cases.parquet(tmp_path / "f.parquet", rows)
    first = imported(tmp_path, path)
    again = imported(tmp_path, path)
    assert again.n_rows == 0
    assert again.manifest == first.manifest
    assert list(map(str, again.notes)) == list(map(str, first.notes))
    with pytest.raises(SettingsMismatchError, match="window_size was 4, now 8"):
        imported(tmp_path, path, window_size=8)
    cases.parquet(path, rows[:-1])
    with pytest.raises(SettingsMismatchError, match="other inputs"):
        imported(tmp_path, path)
    assert stored(first.folder) == cases.expected(rows, 4, "drop")
    other = imported(tmp_path, path, run="fewer")
    assert other.folder.name == "fewer"


def test_a_damaged_part_is_imported_again(tmp_path):
    rows = cases.firings(1, 20, 40)
    path = cases.parquet(tmp_path / "f.parquet", rows)
    first = imported(tmp_path, path)
    part = first.folder / "occurrences" / first.manifest.parts[0].file
    part.write_bytes(b"")
    again = imported(tmp_path, path, redo_damaged=True)
    assert again.n_rows
    assert again.manifest.parts == first.manifest.parts
    assert stored(first.folder) == cases.expected(rows, 4, "drop")


def test_an_interrupted_import_leaves_nothing_and_says_so(tmp_path, monkeypatch):
    path = cases.parquet(tmp_path / "f.parquet", cases.firings(1, 20, 40))

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(driver.PartWriter, "finish", interrupt)
    with pytest.raises(KeyboardInterrupt, match="nothing of lm/3-theirs"):
        imported(tmp_path, path)
    assert not (tmp_path / "data" / "lm").exists()


_KILLED = """
import os, signal, sys
from sfal.collect.imported import driver, slices
from sfal.collect.imported.settings import ImportSettings
driver.BLOCK = slices.BLOCK = 64
finish = driver.PartWriter.finish
def killed(self):
    finish(self)
    os.kill(os.getpid(), signal.SIGKILL)
driver.PartWriter.finish = killed
settings = ImportSettings(window_size=4, n_features=40)
driver.import_firings(sys.argv[1], "lm/3-theirs", settings, sys.argv[2])
"""


def test_a_killed_import_begins_again(tmp_path):
    rows = cases.ordered(cases.firings(1, 20, 40), "shuffled")
    path = cases.parquet(tmp_path / "f.parquet", rows)
    command = [sys.executable, "-c", _KILLED, path, tmp_path / "data"]
    done = subprocess.run(command, timeout=60, check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    folder = tmp_path / "data" / NAME
    assert not (folder / "manifest.json").exists()
    assert list((folder / "occurrences").iterdir())
    result = imported(tmp_path, path)
    assert stored(folder) == cases.expected(rows, 4, "drop")
    assert len(list((folder / "occurrences").iterdir())) == len(result.manifest.parts)
    assert not (folder / ".importing").exists()
