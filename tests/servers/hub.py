"""A local server with the part of the model hub's HTTP interface that its clients use.

Repositories are folders on disk. The commit of a repository is a hash of its
files, so replacing a file changes the commit, as on the real hub.
"""

import hashlib
import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

from servers import faults

KINDS = ("models", "datasets")


class Hub(faults.World):
    """Repositories by name; keys of faults are ``GET who/repo/file`` or ``GET /api/…``.

    Attributes
    ----------
    requests : list of str
        Method and path of every request so far.
    refused : dict of str to int
        Repository -> HTTP status (401 or 403) with which it is refused as gated.
    private : set of str
        Repositories that are private; what is in them is given to anybody all the same.
    """

    def __init__(self):
        super().__init__()
        self.repositories = {}
        self.requests = []
        self.refused = {}
        self.private = set()

    def add(self, name, folder, kind="models"):
        """Serve a folder as a repository and return the folder."""
        self.repositories[kind, name] = Path(folder)
        return Path(folder)

    def files(self, kind, name):
        folder = self.repositories[kind, name]
        return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())

    def listed(self, kind, name):
        """Return what a list of files names."""
        return self.files(kind, name)

    def commit(self, kind, name):
        """Return forty hexadecimal digits that depend on every file."""
        digest = hashlib.sha1()
        for path in self.files(kind, name):
            digest.update(path.encode() + (self.repositories[kind, name] / path).read_bytes())
        return digest.hexdigest()

    def environment(self, home):
        """Return environment variables that make a process use this hub and its own cache."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
        }


def serve(hub=None):
    """Run a :class:`Hub` on a free local port while the block runs."""
    return faults.serving(hub or Hub(), Handler)


class Handler(faults.Handler):
    """Answers what a client reads."""

    key = ""

    def respond(self):
        self.key = f"{self.command} {urlsplit(self.path).path}"
        self.world.requests.append(f"{self.command} {self.path}")
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts[0] == "api" and len(parts) > 3 and parts[1] in KINDS:
            kind, name, rest = parts[1], "/".join(parts[2:4]), parts[4:]
            self._api(kind, name, rest)
            return
        kind = "models"
        if parts[0] == "datasets":
            kind, parts = "datasets", parts[1:]
        if len(parts) > 4 and parts[2] == "resolve":
            self._file(kind, "/".join(parts[:2]), "/".join(parts[4:]))
            return
        self._error(404, "EntryNotFound")

    def _known(self, kind, name):
        if (kind, name) not in self.world.repositories:
            # The real hub answers alike for a missing and for a private repository.
            self._error(401, "RepoNotFound")
            return False
        if name in self.world.refused:
            self._error(self.world.refused[name], "GatedRepo")
            return False
        return True

    def _api(self, kind, name, rest):
        if (kind, name) not in self.world.repositories:
            self._error(404, "RepoNotFound")
            return
        files = self.world.listed(kind, name)
        if not rest or rest[0] == "revision":
            if len(rest) > 1 and not self._revision(kind, name, rest[1]):
                return
            # The hub describes a gated repository but does not give its files.
            facts = {
                "id": name,
                "sha": self.world.commit(kind, name),
                "siblings": [self._sibling(kind, name, path) for path in files],
                "private": name in self.world.private,
                "gated": "manual" if name in self.world.refused else False,
                "tags": [],
                "downloads": 0,
            }
            self._json(facts)
        elif rest[0] == "tree" and self._known(kind, name):
            if self._revision(kind, name, rest[1]):
                self._tree(kind, name, "/".join(rest[2:]))
        elif rest[0] != "tree":
            self._error(404, "EntryNotFound")

    def _sibling(self, kind, name, path):
        """Return a file's entry as for a large file, whose hash is the ETag in the cache."""
        data = (self.world.repositories[kind, name] / path).read_bytes()
        lfs = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "pointerSize": 134}
        return {"rfilename": path, "size": len(data), "blobId": "0" * 40, "lfs": lfs}

    def _revision(self, kind, name, revision):
        if revision in ("main", self.world.commit(kind, name)):
            return True
        self._error(404, "RevisionNotFound")
        return False

    def _tree(self, kind, name, below):
        folder = self.world.repositories[kind, name]
        recursive = "recursive=true" in urlsplit(self.path).query.lower()
        if not (folder / below).is_dir():
            self._error(404, "EntryNotFound")
            return
        found = []
        for path in sorted(
            (folder / below).rglob("*") if recursive else (folder / below).iterdir()
        ):
            entry = {"path": path.relative_to(folder).as_posix(), "oid": "0" * 40}
            if path.is_dir():
                found.append({"type": "directory", "size": 0, **entry})
            else:
                found.append({"type": "file", "size": path.stat().st_size, **entry})
        self._json(found)

    def _file(self, kind, name, path):
        if not self._known(kind, name):
            return
        commit = self.world.commit(kind, name)
        file = self.world.repositories[kind, name] / path
        if path not in self.world.files(kind, name):
            self._error(404, "EntryNotFound", {"X-Repo-Commit": commit})
            return
        self.key = f"{self.command} {name}/{path}"
        data = file.read_bytes()
        headers = {
            "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
        }
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes="):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            stop = min(int(last) + 1, len(data)) if last else len(data)
            start = int(first)
            if start >= len(data):
                self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            self._send(206, data[start:stop], headers)
            return
        self._send(200, data, headers)

    def _json(self, value):
        body = json.dumps(value).encode()
        self._send(200, body, {"Content-Type": "application/json"})

    def _error(self, status, code, headers=None):
        messages = {
            "GatedRepo": "Access to this repository is restricted.",
            "RepoNotFound": "Repository not found",
        }
        message = messages.get(code, code)
        body = json.dumps({"error": message}).encode()
        found = {"X-Error-Code": code, "X-Error-Message": message, **(headers or {})}
        self._send(status, body, {"Content-Type": "application/json", **found})

    def _send(self, status, body, headers):
        self.right = status
        fault = self.world.next_fault(self.key)
        try:
            if fault is None:
                self.answer(status, body, headers)
            else:
                fault(self, body, headers)
        except OSError:
            self.close_connection = True
