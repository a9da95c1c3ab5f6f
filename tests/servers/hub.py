"""A local server that speaks the model hub's HTTP, as far as its clients use it.

Repositories are folders on disk. The commit of a repository is a hash of its
files, so a file that is exchanged gives another commit, as on the real hub.
"""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

KINDS = ("models", "datasets")


class Hub:
    """Repositories under their names.

    Attributes
    ----------
    requests : list of str
        Method and path of every request so far.
    refused : dict of str to int
        Repository -> HTTP status (401 or 403) with which it is refused as gated.
    """

    def __init__(self):
        self.repositories = {}
        self.requests = []
        self.refused = {}
        self.broken_after = {}
        self.url = ""

    def add(self, name, folder, kind="models"):
        """Serve a folder as a repository; returns the folder."""
        self.repositories[kind, name] = Path(folder)
        return Path(folder)

    def files(self, kind, name):
        folder = self.repositories[kind, name]
        return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())

    def commit(self, kind, name):
        """Forty hexadecimal digits that depend on every file."""
        digest = hashlib.sha1()
        for path in self.files(kind, name):
            digest.update(path.encode() + (self.repositories[kind, name] / path).read_bytes())
        return digest.hexdigest()

    def environment(self, home):
        """Variables under which a process uses this hub and a cache of its own."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
        }


@contextmanager
def serve(hub=None):
    """Run a :class:`Hub` on a free port of this machine while the block runs."""
    hub = hub or Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self):
        self._answer(with_body=True)

    def do_HEAD(self):
        self._answer(with_body=False)

    def log_message(self, *args):
        pass

    def _answer(self, with_body):
        self.hub.requests.append(f"{self.command} {self.path}")
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts[0] == "api" and len(parts) > 3 and parts[1] in KINDS:
            kind, name, rest = parts[1], "/".join(parts[2:4]), parts[4:]
            self._api(kind, name, rest, with_body)
            return
        kind = "models"
        if parts[0] == "datasets":
            kind, parts = "datasets", parts[1:]
        if len(parts) > 4 and parts[2] == "resolve":
            self._file(kind, "/".join(parts[:2]), "/".join(parts[4:]), with_body)
            return
        self._error(404, "EntryNotFound", with_body)

    def _known(self, kind, name, with_body):
        if (kind, name) not in self.hub.repositories:
            # The real hub does not tell a missing repository from a private one.
            self._error(401, "RepoNotFound", with_body)
            return False
        if name in self.hub.refused:
            self._error(self.hub.refused[name], "GatedRepo", with_body)
            return False
        return True

    def _api(self, kind, name, rest, with_body):
        if (kind, name) not in self.hub.repositories:
            self._error(404, "RepoNotFound", with_body)
            return
        files = self.hub.files(kind, name)
        if not rest or rest[0] == "revision":
            if len(rest) > 1 and not self._revision(kind, name, rest[1], with_body):
                return
            # Of a gated repository the hub tells about, but gives no files.
            facts = {
                "id": name,
                "sha": self.hub.commit(kind, name),
                "siblings": [self._sibling(kind, name, path) for path in files],
                "private": False,
                "gated": "manual" if name in self.hub.refused else False,
                "tags": [],
                "downloads": 0,
            }
            self._json(facts, with_body)
        elif rest[0] == "tree" and self._known(kind, name, with_body):
            if self._revision(kind, name, rest[1], with_body):
                self._tree(kind, name, "/".join(rest[2:]), with_body)
        elif rest[0] != "tree":
            self._error(404, "EntryNotFound", with_body)

    def _sibling(self, kind, name, path):
        """A file as of a large one: what it is called is the ETag under which it is cached."""
        data = (self.hub.repositories[kind, name] / path).read_bytes()
        lfs = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "pointerSize": 134}
        return {"rfilename": path, "size": len(data), "blobId": "0" * 40, "lfs": lfs}

    def _revision(self, kind, name, revision, with_body):
        if revision in ("main", self.hub.commit(kind, name)):
            return True
        self._error(404, "RevisionNotFound", with_body)
        return False

    def _tree(self, kind, name, below, with_body):
        folder = self.hub.repositories[kind, name]
        recursive = "recursive=true" in urlsplit(self.path).query.lower()
        if not (folder / below).is_dir():
            self._error(404, "EntryNotFound", with_body)
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
        self._json(found, with_body)

    def _file(self, kind, name, path, with_body):
        if not self._known(kind, name, with_body):
            return
        commit = self.hub.commit(kind, name)
        file = self.hub.repositories[kind, name] / path
        if path not in self.hub.files(kind, name):
            self._error(404, "EntryNotFound", with_body, {"X-Repo-Commit": commit})
            return
        data = file.read_bytes()
        headers = {
            "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
        }
        limit = self.hub.broken_after.get(f"{name}/{path}")
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes="):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            stop = min(int(last) + 1, len(data)) if last else len(data)
            start = int(first)
            if start >= len(data):
                self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"}, with_body)
                return
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            self._send(206, data[start:stop], headers, with_body)
            return
        self._send(200, data, headers, with_body, limit)

    def _json(self, value, with_body):
        body = json.dumps(value).encode()
        self._send(200, body, {"Content-Type": "application/json"}, with_body)

    def _error(self, status, code, with_body, headers=None):
        messages = {
            "GatedRepo": "Access to this repository is restricted.",
            "RepoNotFound": "Repository not found",
        }
        message = messages.get(code, code)
        body = json.dumps({"error": message}).encode()
        found = {"X-Error-Code": code, "X-Error-Message": message, **(headers or {})}
        self._send(status, body, {"Content-Type": "application/json", **found}, with_body)

    def _send(self, status, body, headers, with_body, limit=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            try:
                self.wfile.write(body if limit is None else body[:limit])
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
        if limit is not None:
            self.close_connection = True
