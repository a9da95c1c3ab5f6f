"""A hub that can be written to: repositories made, files uploaded, commits."""

import base64
import hashlib
import json
import time
from urllib.parse import unquote, urlsplit

from servers import faults, hub

TOKEN = "hf_of_the_tests"


class Uploads(hub.Hub):
    """A hub below a folder, as :class:`servers.hub.Hub`, with an account that may write.

    Attributes
    ----------
    objects : dict of str to bytes
        Large files by their SHA-256, whether or not a commit names them.
    stored : list of str
        SHA-256 of every large file that was sent, in order.
    commits : list of list of str
        The operations of each commit: ``+path`` and ``-path``.
    token : str
        The token that may write.
    pause : float
        Seconds that storing a large file takes.
    pretended : list of str
        Paths that are listed although there are no such files.
    before_commit : callable or None
        Called before each commit is applied.
    """

    def __init__(self, root):
        super().__init__()
        self.root = root
        self.objects, self.stored, self.commits, self.pretended = {}, [], [], []
        self.pause = 0.0
        self.token = TOKEN
        self.before_commit = None

    def environment(self, home):
        return {**super().environment(home), "HF_TOKEN": TOKEN}

    def make(self, name, *, private=True):
        """Make an empty data set repository; return its folder."""
        folder = self.root / name
        folder.mkdir(parents=True)
        (folder / ".gitattributes").write_text("*.parquet filter=lfs\n")
        if private:
            self.private.add(name)
        return self.add(name, folder, "datasets")

    def listed(self, kind, name):
        return [*super().listed(kind, name), *self.pretended]

    def folder(self, name):
        return self.repositories["datasets", name]


def serve(root):
    """Run :class:`Uploads` on a free local port while the block runs."""
    return faults.serving(Uploads(root), _Handler)


def git_blob(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def is_large(path):
    return path.endswith(".parquet")


class _Handler(hub.Handler):
    def do_POST(self):  # noqa: N802
        self._write(self._body())

    def do_PUT(self):  # noqa: N802
        self._write(self._body())

    def _sibling(self, kind, name, path):
        if path in self.world.pretended:
            return {"rfilename": path, "size": 3, "blobId": "0" * 40}
        data = (self.world.repositories[kind, name] / path).read_bytes()
        found = {"rfilename": path, "size": len(data), "blobId": git_blob(data)}
        if is_large(path):
            sha256 = hashlib.sha256(data).hexdigest()
            found["lfs"] = {"size": len(data), "sha256": sha256, "pointerSize": 134}
        return found

    def _body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _write(self, body):
        path = urlsplit(self.path).path
        self.key = f"{self.command} {path}"
        self.world.requests.append(self.key)
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if parts[0] == "lfs" and self.command == "PUT":
            self._store(parts[1], body)
            return
        if path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
            return
        if self.headers.get("Authorization") != f"Bearer {self.world.token}":
            self._error(401, "WrongToken")
            return
        value = None if path.endswith("/commit/main") else json.loads(body)
        if path == "/api/repos/create":
            self._create(value)
        elif path == "/lfs/verify":
            known = len(self.world.objects.get(value["oid"], b"")) == value["size"]
            self._json({}) if known else self._error(404, "ObjectNotFound")
        elif parts[-3:] == ["lfs", "objects", "batch"]:
            self._batch(value)
        elif parts[:2] == ["api", "datasets"] and self._known("datasets", "/".join(parts[2:4])):
            name = "/".join(parts[2:4])
            if parts[4] == "preupload":
                self._modes(name, value)
            elif parts[4] == "commit":
                self._commit(name, [json.loads(line) for line in body.splitlines()])

    def _create(self, value):
        name = f"{value['organization']}/{value['name']}"
        if ("datasets", name) in self.world.repositories:
            self._error(409, "Conflict")
            return
        self.world.make(name, private=value.get("visibility") == "private")
        self._json({"url": f"{self.world.url}/datasets/{name}"})

    def _modes(self, name, value):
        found = []
        for file in value["files"]:
            there = self.world.folder(name) / file["path"]
            oid = git_blob(there.read_bytes()) if there.is_file() else None
            mode = "lfs" if is_large(file["path"]) else "regular"
            found.append(
                {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}
            )
        self._json({"files": found})

    def _batch(self, value):
        objects = []
        for wanted in value["objects"]:
            one = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.world.objects:
                one["actions"] = {
                    "upload": {"href": f"{self.world.url}/lfs/{wanted['oid']}"},
                    "verify": {"href": f"{self.world.url}/lfs/verify"},
                }
            objects.append(one)
        self._json({"transfer": "basic", "objects": objects})

    def _store(self, oid, body):
        time.sleep(self.world.pause)
        if hashlib.sha256(body).hexdigest() != oid:
            self._error(400, "WrongHash")
            return
        with self.world.lock:
            self.world.stored.append(oid)
            self.world.objects[oid] = body
        self._send(200, b"", {})

    def _commit(self, name, lines):
        if self.world.before_commit is not None:
            self.world.before_commit()
        with self.world.lock:
            oid = self._apply(name, lines)
        if oid is None:
            self._error(412, "PreconditionFailed")
            return
        self._json({"commitUrl": f"{self.world.url}/{name}/commit/{oid}", "commitOid": oid})

    def _apply(self, name, lines):
        """Apply a commit and return its name; None if it does not follow the latest one."""
        parent = lines[0]["value"].get("parentCommit")
        if parent not in (None, self.world.commit("datasets", name)):
            return None
        done = []
        for line in lines[1:]:
            value = line["value"]
            target = self.world.folder(name) / value["path"]
            if line["key"] == "deletedFile":
                target.unlink()
                done.append(f"-{value['path']}")
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if line["key"] == "lfsFile":
                target.write_bytes(self.world.objects[value["oid"]])
            else:
                target.write_bytes(base64.b64decode(value["content"]))
            done.append(f"+{value['path']}")
        self.world.commits.append(done)
        return self.world.commit("datasets", name)
