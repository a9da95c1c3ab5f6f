"""Commands as separate processes that need not repeat the imports.

One process imports what the commands import, and forks for each of them. A
command is then a real process that a real signal can kill, but it starts in
milliseconds instead of seconds.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_IMPORTS = "torch, transformers, datasets, pyarrow.parquet, sfal._core, sfal.cli.cooc"
_SETTINGS = {
    # One thread: a fork keeps only the thread that forks.
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    # The command line sets these before it imports anything.
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}


@dataclass
class Done:
    """The end of a command; `returncode` is negative for a signal, as in subprocess."""

    returncode: int
    stdout: str
    stderr: str


class Command:
    """A running command."""

    def __init__(self, launcher, pid, folder):
        self.pid = pid
        self._launcher = launcher
        self._folder = folder

    def send(self, number=signal.SIGKILL):
        """Send a signal, unless the command has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self):
        """Wait for the command to end."""
        status = self._launcher.ask({"wait": self.pid})["status"]
        code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        out, err = (self._folder / name for name in ("out", "err"))
        return Done(code, out.read_text(), err.read_text())


class Launcher:
    """A starter of commands; made by :func:`launcher`.

    Attributes
    ----------
    temporary : Path
        Folder in which commands make temporary folders.
    """

    def __init__(self, process, folder):
        self._process = process
        self._folder = folder
        self._n = 0
        self.temporary = folder / "temporary"

    def ask(self, request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(self, *words, cwd=None):
        """Start ``sfal WORDS``."""
        self._n += 1
        folder = self._folder / str(self._n)
        folder.mkdir(parents=True)
        # Created here, since a command may be killed before it opens them.
        for name in ("out", "err"):
            (folder / name).touch()
        words = list(map(str, words))
        reply = self.ask({"words": words, "cwd": str(cwd or folder), "folder": str(folder)})
        return Command(self, reply["pid"], folder)

    def run(self, *words, cwd=None):
        """Run ``sfal WORDS`` to its end."""
        return self.start(*words, cwd=cwd).wait()


@contextmanager
def launcher(folder, imports="", *, models=True, **environment):
    """Start a :class:`Launcher` that keeps the output of commands below `folder`.

    `imports` are further modules to import beforehand, separated by commas; `models`
    says whether commands load models, so that torch and transformers are imported too.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "SFAL_"))}
    temporary = Path(folder) / "temporary"
    temporary.mkdir(parents=True)
    process = subprocess.Popen(
        [sys.executable, __file__, imports, "models" if models else ""],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**kept, **_SETTINGS, "TMPDIR": str(temporary), **environment},
    )
    assert json.loads(process.stdout.readline()) == "ready"
    try:
        yield Launcher(process, Path(folder))
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def _child(request):
    os.setsid()
    os.chdir(request["cwd"])
    for name, number in (("out", 1), ("err", 2)):
        file = os.open(f"{request['folder']}/{name}", os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    from sfal.cli.interrupt import CtrlC
    from sfal.cli.main import main

    entered = CtrlC.__enter__

    def enter(ctrl_c):
        entered(ctrl_c)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        return ctrl_c

    CtrlC.__enter__ = enter
    try:
        main(request["words"])
    except SystemExit as e:
        code = e.code or 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _reply(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _serve():
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            reply = {"status": os.waitpid(request["wait"], 0)[1]}
        else:
            # A Ctrl-C that arrives before the new process is ready for it waits.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            pid = os.fork()
            if pid == 0:
                _child(request)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            reply = {"pid": pid}
        _reply(reply)


if __name__ == "__main__":
    exec(f"import {sys.argv[1] or 'sys'}")
    if sys.argv[2]:
        exec(f"import {_IMPORTS}")
        from transformers import AutoModel, AutoTokenizer, Gemma2Model, LlamaModel  # noqa: F401

        from sfal.sources.registry import registry

        if "HF_ENDPOINT" in os.environ:
            registry()
    _reply("ready")
    _serve()
    # Unloading what was imported would take two seconds.
    os._exit(0)
