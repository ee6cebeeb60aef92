"""Random synthetic scenes for trackers: objects that move, bounce, disappear for a while, enter and leave."""

import numpy as np

from jde_lightning.structures import Detections


def random_scene(
    seed,
    frames=60,
    objects=15,
    dim=16,
    look_noise=0.05,
    miss=0.03,
    occlusion=0.01,
    low=0.05,
    clutter=0.04,
    empty=0.03,
    classes=2,
    arena=(640, 480),
    leave=0.004,
    jitter=0.02,
):
    """List of :class:`Detections`, one per frame; ``look_noise`` near 0.5 makes embeddings nearly useless."""
    rng = np.random.default_rng(seed)
    arena = np.array(arena, float)

    def born():
        height = rng.uniform(40, 140)
        return {
            "centre": rng.uniform(0, arena),
            "speed": rng.normal(0, 2.5, 2),
            "size": np.array([height * rng.uniform(0.3, 0.5), height]),
            "look": rng.normal(size=dim),
            "label": int(rng.integers(classes)),
            "hidden": 0,
        }

    people = [born() for _ in range(objects)]
    scene = []
    for _ in range(frames):
        boxes, scores, labels, looks = [], [], [], []
        for i, person in enumerate(people):
            person["speed"] += rng.normal(0, 0.3, 2)
            person["centre"] += person["speed"]
            outside = (person["centre"] < 0) | (person["centre"] > arena)
            person["speed"][outside] *= -1
            if rng.random() < leave:
                people[i] = born()
            person["hidden"] -= 1
            if person["hidden"] < 0 and rng.random() < occlusion:
                person["hidden"] = int(rng.integers(2, 30))
            if person["hidden"] > 0 or rng.random() < miss:
                continue
            half = person["size"] / 2
            shake = np.clip(rng.normal(0, jitter, 4) * person["size"][1], -half[0] * 0.8, half[0] * 0.8)
            boxes.append(np.concatenate([person["centre"] - half, person["centre"] + half]) + shake)
            scores.append(rng.uniform(0.05, 0.4) if rng.random() < low else rng.uniform(0.6, 0.98))
            labels.append(person["label"] if rng.random() > 0.2 else int(rng.integers(classes)))
            noise = rng.normal(size=dim) * np.linalg.norm(person["look"]) / np.sqrt(dim)
            looks.append((1 - look_noise) * person["look"] + look_noise * 2 * noise)
        for _ in range(rng.poisson(clutter * objects)):
            thing = born()
            boxes.append(np.concatenate([thing["centre"] - thing["size"] / 2, thing["centre"] + thing["size"] / 2]))
            scores.append(rng.uniform(0.3, 0.9))
            labels.append(thing["label"])
            looks.append(thing["look"])
        if not boxes or rng.random() < empty:
            scene.append(Detections.empty(dim))
            continue
        looks = np.array(looks)
        looks /= np.linalg.norm(looks, axis=1, keepdims=True)
        order = rng.permutation(len(boxes))
        scene.append(Detections(np.array(boxes)[order], np.array(scores)[order], np.array(labels)[order], looks[order]))
    return scene
