"""The page of `sfal report` in headless Chromium: bytes of the file, seconds until it is ready, frame times.

    python benches/page.py [FEATURES]...

For each width a made source with two embedders, labels of six words, intervals, label ranks and the lists
that fit into 10 MB. A search is typed letter by letter, and the table is scrolled by 9,000 pixels a frame;
the figures are milliseconds between two frames: median, 95th percentile and longest. Each step is the
fastest of five rounds, as the machine is shared.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from report.browser import chromium, open_page
from report.pages import synthetic_source, with_second_embedder
from sfal.report.html import render_page
from sfal.report.payload import build_payload

WIDTHS = (1_024, 16_384, 32_768)
ROOM = 10 * 10**6 - 100_000
ROUNDS = 5
FRAMES = """
return (async () => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const search = document.getElementById("search");
  const box = document.getElementById("rows");
  const timed = async (act, n) => {
    const times = [];
    let before = await frame();
    for (let i = 0; i < n; i += 1) {
      act(i);
      const now = await frame();
      times.push(now - before);
      before = now;
    }
    return times;
  };
  const typed = ["word12 wo", "/d1.*d2/", "77", "nothing like it"].flatMap((text) =>
    [...text].map((_, i) => text.slice(0, i + 1)));
  box.scrollTop = 0;
  search.scrollIntoView({ block: "center", behavior: "instant" });
  await frame();
  const typing = await timed((i) => {
    search.value = typed[i];
    search.dispatchEvent(new Event("input"));
  }, typed.length);
  search.value = "";
  search.dispatchEvent(new Event("input"));
  const scrolling = await timed(() => { box.scrollTop += 9000; }, 60);
  return [typing, scrolling];
})()
"""


def summary(times):
    return f"{np.median(times):5.1f} {np.quantile(times, 0.95):5.1f} {max(times):5.1f}"


def main():
    print("features        MB  lists  ready s   typing ms            scrolling ms")
    with tempfile.TemporaryDirectory() as folder, chromium() as chrome:
        for n in [int(word) for word in sys.argv[1:]] or WIDTHS:
            source = synthetic_source(n)
            labels = list(source.embeddings[0].labels.values())
            payload = build_payload([with_second_embedder(source, labels)], ROOM)
            path = Path(folder) / f"{n}.html"
            path.write_text(render_page(payload))
            ready = min(open_page(chrome, path) for _ in range(3))
            rounds = [chrome.execute_script(FRAMES) for _ in range(ROUNDS)]
            typing, scrolling = (np.min(each, axis=0) for each in zip(*rounds, strict=True))
            size = path.stat().st_size / 1e6
            print(
                f"{n:8,} {size:9.2f} {payload.shown:6} {ready:8.2f}   {summary(typing)}   "
                f"{summary(scrolling)}"
            )


if __name__ == "__main__":
    main()
