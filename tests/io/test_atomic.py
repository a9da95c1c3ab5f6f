"""Files are whole under their name, or absent."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sfal.errors import (
    ArtifactError,
    CorruptError,
    DownloadError,
    InvalidInputError,
    MissingError,
)
from sfal.io import atomic, processes
from sfal.io.atomic import (
    atomic_path,
    read_json,
    remove_temporaries,
    remove_unfinished,
    sha256_file,
    write_json,
)
from sfal.store.layout import embeddings_path, histogram_name, source_dir


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), DownloadError("x")])
def test_an_error_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(type(error)), atomic_path(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "data_dir or output"),
    ],
)
def test_a_disk_that_cannot_be_written_is_named(tmp_path: Path, number: int, said: str) -> None:
    with pytest.raises(ArtifactError, match=said) as error, atomic_path(tmp_path / "f"):
        raise OSError(number, "refused by the system")
    assert str(tmp_path / "f") in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_a_pipe_or_a_stream_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    # As /dev/stdout is.
    (tmp_path / "stream").symlink_to("/proc/self/fd/0")
    for name in ("folder", "pipe", "stream"):
        before = os.lstat(tmp_path / name)
        with (
            pytest.raises(ArtifactError, match=f"{name}: it is not a file"),
            atomic_path(tmp_path / name) as temporary,
        ):
            temporary.write_text("in its place")
        assert os.path.samestat(os.lstat(tmp_path / name), before)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.fixture
def ended() -> int:
    """Id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def leave(folder: Path, pid: int, name: str = "part") -> Path:
    """Leave what a process writes before it is finished."""
    path = folder / atomic.temporary_name(name, pid)
    path.write_text("half")
    return path


def make_older(path: Path) -> None:
    then = time.time() - 100_000
    os.utime(path, (then, then))


def test_what_an_ended_process_left_is_removed(tmp_path: Path, ended: int) -> None:
    leave(tmp_path, ended)
    leave(tmp_path, ended, "other-part")
    kept = leave(tmp_path, ended, "file")
    (tmp_path / "part").write_text("whole")
    remove_temporaries(tmp_path, "part")
    assert {*tmp_path.iterdir()} == {tmp_path / "part", kept}
    remove_temporaries(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["part"]


@pytest.mark.parametrize("has_proc", [True, False])
def test_what_a_running_process_writes_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_proc: bool
) -> None:
    kept = leave(tmp_path, os.getppid())
    if not has_proc:  # as on macOS
        monkeypatch.setattr(Path, "exists", lambda path: False)
    remove_temporaries(tmp_path)
    assert [*tmp_path.iterdir()] == [kept]


def test_what_another_thread_writes_stays_and_what_our_id_left_before_is_removed(
    tmp_path: Path,
) -> None:
    leave(tmp_path, os.getpid())
    with atomic_path(tmp_path / "part") as temporary:
        temporary.write_text("half")
        remove_temporaries(tmp_path)
        assert [*tmp_path.iterdir()] == [temporary]


def test_what_another_host_writes_stays_for_a_day(
    tmp_path: Path, ended: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "host", lambda: "node-1")
    theirs = leave(tmp_path, ended)
    # What host node-1 writes is not what process 1 of host node would write.
    monkeypatch.setattr(processes, "host", lambda: "node")
    remove_temporaries(tmp_path)
    assert [*tmp_path.iterdir()] == [theirs]
    make_older(theirs)
    remove_temporaries(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_an_earlier_version_left_is_removed_after_a_day(tmp_path: Path, ended: int) -> None:
    left = tmp_path / f".tmp-{ended}-part"
    left.write_text("half")
    remove_temporaries(tmp_path)
    assert left.exists()
    make_older(left)
    remove_temporaries(tmp_path)
    assert not left.exists()


def test_json_is_read_back_and_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    write_json(path, {"n": 1, "text": "ü"})
    assert read_json(path) == {"n": 1, "text": "ü"}
    for text in ["{", "[" * 100_000, "\xff"]:
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(CorruptError, match="damaged"):
            read_json(path)
    with pytest.raises(MissingError, match="cannot read"):
        read_json(tmp_path / "none.json")


def test_hash_of_the_empty_file_is_the_known_one(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    assert sha256_file(tmp_path / "f").startswith("e3b0c44298fc1c149afbf4c8996fb924")


@pytest.mark.parametrize(
    "name", ["../x", "a/../b", "/etc", "a//b", "", "a/.b", "a\0b", "-x", "a b"]
)
def test_names_that_leave_the_data_tree_are_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="folder name"):
        source_dir(Path("data"), name)
    with pytest.raises(InvalidInputError, match="folder name"):
        embeddings_path(Path("data"), name, "mixed")


def test_a_run_of_its_own_lies_below_its_source() -> None:
    assert source_dir(Path("d"), "m/0-s__l0-9", "k128") == Path("d/m/0-s__l0-9/runs/k128")
    with pytest.raises(InvalidInputError, match="must not contain /"):
        source_dir(Path("d"), "m/s", "a/b")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (
            ("monology/pile-uncopyrighted", "google/gemma-2-2b", "layer_0/width_16k/average_l0_105",
             "res", 10_000, 256),
            "monology_google_gemma-2-2b_layer_0_width_16k_average_l0_105_docs10k_keq256",
        ),
        (
            ("monology/pile-uncopyrighted", "google/gemma-2-2b", "layer_0/width_16k/average_l0_119",
             "mlp", 60, 64),
            "monology_google_gemma-2-2b_mlp_layer_0_width_16k_average_l0_119_docs60_keq64",
        ),
        (
            ("cerebras/SlimPajama-627B", "meta-llama/Llama-3.1-8B",
             "Llama3_1-8B-Base-L0R-8x/checkpoints/final.safetensors", "res", 1_500, 256),
            "cerebras_meta-llama_Llama-3.1-8B_Llama3_1-8B-Base-L0R-8x_checkpoints"
            "_final.safetensors_docs1500_keq256",
        ),
    ],
)  # fmt: skip
def test_histograms_are_named_as_published(arguments: tuple[object, ...], name: str) -> None:
    assert histogram_name(*arguments) == name + "_cooccurrences.npz"  # type: ignore[arg-type]


def test_what_threads_still_write_can_be_removed_when_the_process_ends_at_once(
    tmp_path: Path,
) -> None:
    with atomic_path(tmp_path / "whole.txt") as temporary:
        temporary.write_text("whole")
    unfinished = atomic_path(tmp_path / "never.txt")
    unfinished.__enter__().write_text("half")
    remove_unfinished()
    assert [path.name for path in tmp_path.iterdir()] == ["whole.txt"]
    assert not unfinished.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert [path.name for path in tmp_path.iterdir()] == ["whole.txt"]


def test_on_windows_folders_are_not_opened_and_files_are_flushed_for_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, real = [], os.open

    def open_as_windows_does(path: Path, flags: int, *mode: int) -> int:
        if Path(path).is_dir():
            raise PermissionError(13, "Permission denied")
        opened.append(flags & os.O_RDWR)
        return real(path, flags, *mode)

    monkeypatch.setattr("sfal.io.atomic._ON_WINDOWS", True)
    monkeypatch.setattr("sfal.io.atomic.os.open", open_as_windows_does)
    with atomic_path(tmp_path / "x") as temporary:
        Path(temporary).write_bytes(b"whole")
    assert (tmp_path / "x").read_bytes() == b"whole"
    assert opened == [os.O_RDWR]
