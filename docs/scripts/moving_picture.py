"""Make the moving picture of the README from annotated frames of ``track --pictures``.

Example:
    python docs/scripts/moving_picture.py tracks/MOT17-62-FRCNN docs/images/tracks.webp
"""

import argparse
from pathlib import Path

from PIL import Image

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("frames", type=Path, help="folder of JPEG files, in order of their names")
parser.add_argument("output", type=Path, help="animated WebP, which browsers and GitHub show")
parser.add_argument("--width", type=int, default=560, help="in pixels")
parser.add_argument("--fps", type=float, default=12, help="frames per second")
parser.add_argument("--quality", type=int, default=45, help="0 to 100")
args = parser.parse_args()

pictures = []
for path in sorted(args.frames.glob("*.jpg")):
    picture = Image.open(path)
    pictures.append(picture.resize((args.width, round(picture.height * args.width / picture.width)), Image.LANCZOS))
first, *rest = pictures
first.save(
    args.output, save_all=True, append_images=rest, duration=round(1000 / args.fps), loop=0, quality=args.quality
)
print(f"{args.output}: {len(pictures)} frames, {args.output.stat().st_size // 1000} kB")
