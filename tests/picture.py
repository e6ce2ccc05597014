"""Take the picture in the README anew: what `make run` sends, opened in the viewer.

`make picture` runs the test that leaves it. Only the phantom is ever shown; no study can be named.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

from PIL import Image

ROOT: Final = Path(__file__).parents[1]
SCREENSHOT: Final = ROOT / "var/screenshots/demo.png"
PICTURE: Final = ROOT / "deploy/pictures/viewer.png"
WIDTH: Final = 960  # pixels
COLOURS: Final = 128


def shrink(picture: Path, out: Path) -> None:
    """Write a picture smaller, in few colours, without what else its file says."""
    with Image.open(picture) as found:
        size = (WIDTH, round(found.height * WIDTH / found.width))
        small = found.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    out.parent.mkdir(parents=True, exist_ok=True)
    small.quantize(COLOURS, dither=Image.Dither.NONE).save(out, optimize=True)


def main() -> None:
    """Take it."""
    test = str(ROOT / "tests/acceptance/test_viewer_demo.py")
    subprocess.run([sys.executable, "-m", "pytest", "-q", test], check=True, cwd=ROOT)
    shrink(SCREENSHOT, PICTURE)
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
