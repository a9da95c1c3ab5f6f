"""Digests that distinguish models and inputs."""

import hashlib
import json
from pathlib import Path

from sfal.io.atomic import sha256_file


def folder_sha256(folder: Path) -> str:
    """Return a digest of the names and contents of a model's files, without hidden ones and prose."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and path.suffix != ".md" and not any(p.startswith(".") for p in parts):
            digest.update(f"{'/'.join(parts)}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()


def facts_sha256(*facts: object) -> str:
    """Return a digest of values that JSON can hold."""
    text = json.dumps(facts, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
