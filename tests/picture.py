"""Draw the picture in the README anew: the whole node, a made-up study, what comes out.

`make picture` runs the demo of the node in a folder of its own, on a free port, and takes the
picture that it draws. Only the phantom is ever drawn: no study can be named.
"""

import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image

ROOT: Final = Path(__file__).parents[1]
PICTURE: Final = ROOT / "deploy" / "pictures" / "liver.png"
WIDTH: Final = 880  # pixels
GREYS: Final = 24
ORANGE: Final = (255, 140, 66)  # of the contour
SHADES: Final = (0.4, 0.6, 0.8, 1.0)  # of the contour over grey, where its edge is smooth

SETTINGS: Final = """
[node]
bind = "127.0.0.1"
port = {port}
data = "data"

[[destinations]]
name = "outbox"
kind = "folder"
path = "outbox"

[[rules]]
name = "liver"
when = '"liver" in findings.coverage.value && findings.localizer.value != "1"'
segment = ["liver"]
results_to = ["outbox"]
"""


def free_port() -> int:
    """Return a port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def drawn(folder: Path) -> Path:
    """Run the demo of the node in a folder, and return the picture that it drew."""
    config = folder / "node.toml"
    config.write_text(SETTINGS.format(port=free_port()), encoding="utf-8")
    command = [sys.executable, "-m", "node.cli", "--log-level", "warning", "demo", "--once"]
    subprocess.run([*command, "--config", str(config)], check=True, cwd=ROOT)
    (picture,) = (folder / "data" / "preview").glob("*.png")
    return picture


def shrink(picture: Path, out: Path) -> None:
    """Write a picture smaller, in few colours, without what else its file says."""
    with Image.open(picture) as found:
        size = (WIDTH, round(found.height * WIDTH / found.width))
        small = found.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    out.parent.mkdir(parents=True, exist_ok=True)
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for colour in colours() for value in colour])
    small.quantize(palette=palette, dither=Image.Dither.NONE).save(out, optimize=True)


def colours() -> list[tuple[int, ...]]:
    """Return greys, and the contour's colour over dark and middle grey."""
    greys = [(round(255 * step / (GREYS - 1)),) * 3 for step in range(GREYS)]
    mixed = [
        tuple(round(share * part + (1 - share) * below) for part in ORANGE)
        for share in SHADES
        for below in (30, 150)
    ]
    return [*greys, *mixed]


def main() -> None:
    """Draw it."""
    with tempfile.TemporaryDirectory() as folder:
        shrink(drawn(Path(folder)), PICTURE)
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
