"""Run by test_frames_hostile.py in a separate process: read every pickle of a folder, and report."""

import json
import resource
import sys
from pathlib import Path

from sfal.errors import ArtifactError
from sfal.store.published.frames import read_frame

WATCHED = ("import", "exec", "compile", "os.", "subprocess.", "socket.", "ctypes.", "shutil.")
ALLOWED = ("os.listdir", "os.scandir")
events = []
watching = False


def hook(event, args):
    if not watching:
        return
    writes = event == "open" and isinstance(args[1], str) and args[1] not in ("r", "rb")
    if (event.startswith(WATCHED) and event not in ALLOWED) or writes:
        events.append(f"{event} {args!r}"[:200])


def read(path):
    frame = read_frame(path)
    for name in frame.names:
        if name == "embedding":
            frame.vectors(name)
        elif name == "index":
            frame.integers(name)
        else:
            frame.values(name)


def main():
    global watching
    from peak_memory import peak_memory

    folder = Path(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    sys.addaudithook(hook)
    report = {}
    for path in sorted(folder.glob("*.pkl")):
        watching = True
        events.clear()
        try:
            read(path)
            outcome = "accepted"
        except ArtifactError as e:
            outcome = f"refused: {e}"
        except BaseException as e:
            outcome = f"{type(e).__name__}: {e}"
        watching = False
        report[path.name] = {"outcome": outcome, "events": list(events)}
    Path(sys.argv[2]).write_text(json.dumps({"files": report, "peak": peak_memory()}))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()
