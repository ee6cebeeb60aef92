"""A few people who cross an image, as ground truth in the MOTChallenge layout and as files of detections."""

from pathlib import Path

import numpy as np

FRAMES = 40
EMBED_DIM = 8


def write_walk(folder: Path, name: str, seed: int, people: int = 4, frame_rate: int = 30) -> None:
    """Write ``gt/NAME/`` and ``detections/NAME.npz``: three of four boxes are seen, some where nobody is."""
    rng = np.random.default_rng(seed)
    start, speed = rng.uniform(0, 400, (people, 2)), rng.normal(0, 4, (people, 2))
    looks = rng.normal(size=(people, EMBED_DIM))
    truth, frames, boxes, scores, embeddings = [], [], [], [], []
    for frame in range(1, FRAMES + 1):
        for person in range(people):
            box = np.round([*(start[person] + frame * speed[person]), 40, 100], 1)
            truth.append(f"{frame},{person + 1},{','.join(map(str, box))},1,1,1\n")
            seen = rng.random() < 0.75
            strays = rng.random() < 0.15
            for really in [True] * seen + [False] * strays:
                frames.append(frame)
                boxes.append(box + (rng.normal(0, 2, 4) if really else [*rng.uniform(-200, 200, 2), 0, 0]))
                scores.append(rng.uniform(0.4, 1) if really else rng.uniform(0.06, 0.6))
                look = looks[person] if really else rng.normal(size=EMBED_DIM)
                embeddings.append(look + rng.normal(0, 0.2, EMBED_DIM))
    sequence = folder / "gt" / name
    (sequence / "gt").mkdir(parents=True)
    (sequence / "gt" / "gt.txt").write_text("".join(truth))
    lines = [f"name={name}", f"frameRate={frame_rate}", f"seqLength={FRAMES}", "imWidth=640", "imHeight=480"]
    (sequence / "seqinfo.ini").write_text("\n".join(["[Sequence]", *lines, ""]))
    (folder / "detections").mkdir(exist_ok=True)
    arrays = {"frame": frames, "tlwh": boxes, "score": scores, "embedding": embeddings}
    np.savez(folder / "detections" / f"{name}.npz", **{key: np.array(value) for key, value in arrays.items()})
