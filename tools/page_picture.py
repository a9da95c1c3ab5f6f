"""Draw the picture of the page in the README: the demo's page in headless Chromium.

    python tools/page_picture.py docs/figures/page.png

It runs ``sfal demo``, which takes up to a minute, unless ``--page`` names a page. A picture of more than
300 kB is refused.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LARGEST = 300_000
"""Bytes of the picture, at most."""
OPENED = "#/sfal-demo-2m/2-demo-res-1k/868"
"""The feature that is open: the one whose label is most probably wrong."""


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--page", type=Path, help="page to draw; default: that of sfal demo")
    parser.add_argument("--fragment", default=OPENED, help="what is open")
    parser.add_argument("--size", default="1440,900", help="width,height of the window")
    options = parser.parse_args()
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        sys.exit("chromium is not installed")
    with tempfile.TemporaryDirectory(prefix="sfal-picture-") as folder:
        page = options.page or Path(folder) / "demo.html"
        if options.page is None:
            subprocess.run(["sfal", "demo", "--report", str(page)], check=True)
        picture = Path(folder) / "page.png"
        subprocess.run(
            [
                browser,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--force-prefers-reduced-motion",
                "--virtual-time-budget=20000",
                f"--window-size={options.size}",
                f"--user-data-dir={folder}/profile",
                f"--screenshot={picture}",
                page.resolve().as_uri() + options.fragment,
            ],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        size = picture.stat().st_size
        if size > LARGEST:
            sys.exit(f"the picture has {size:,} bytes, more than {LARGEST:,}")
        options.output.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(picture, options.output)
    sys.stdout.write(f"{options.output}: {size:,} bytes\n")


if __name__ == "__main__":
    main()
