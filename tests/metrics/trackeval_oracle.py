"""TrackEval, the reference of MOTChallenge, on arrays in memory; and random sequences that provoke disagreement."""

import numpy as np

from jde_lightning.metrics.mot_challenge import MOTRows

CLASSES = {
    "pedestrian": 1,
    "person_on_vehicle": 2,
    "car": 3,
    "bicycle": 4,
    "motorbike": 5,
    "non_mot_vehicle": 6,
    "static_person": 7,
    "distractor": 8,
    "occluder": 9,
    "occluder_on_ground": 10,
    "occluder_full": 11,
    "reflection": 12,
    "crowd": 13,
}


def in_memory_dataset(trackeval, benchmark):
    class InMemory(trackeval.datasets.MotChallenge2DBox):
        def __init__(self):  # skips the scan of folders
            self.benchmark, self.do_preproc = benchmark.upper(), benchmark != "none"
            self.class_name_to_class_id = CLASSES
            self.valid_class_numbers = list(CLASSES.values())

    return InMemory()


def trackeval_results(trackeval, sequences, benchmark):
    """Evaluate ``{name: (gt, result)}``; returns scores by sequence, and of all together under ``None``."""
    from trackeval.metrics import CLEAR, HOTA, Identity

    dataset = in_memory_dataset(trackeval, benchmark)
    metrics = [HOTA(), CLEAR({"PRINT_CONFIG": False}), Identity({"PRINT_CONFIG": False})]
    raw = [{} for _ in metrics]
    for name, (gt, result) in sequences.items():
        data = preprocessed(dataset, raw_data(name, gt, result))
        for store, metric in zip(raw, metrics, strict=True):
            store[name] = metric.eval_sequence(data)
    # Also a single sequence is combined: without ground truth TrackEval calls its MOTA 0 alone, but -FP when combined.
    groups = {name: [name] for name in sequences} | {None: list(sequences)}
    return {
        group: _scores(
            [
                metric.combine_sequences({name: store[name] for name in names})
                for store, metric in zip(raw, metrics, strict=True)
            ]
        )
        for group, names in groups.items()
    }


def trackeval_classes(trackeval, sequences, numbers):
    """Evaluate classes one by one, then let TrackEval combine them; scores by class number, "cls_av" and "det_av"."""
    from trackeval.metrics import CLEAR, HOTA, Identity

    dataset = in_memory_dataset(trackeval, "none")
    metrics = [HOTA(), CLEAR({"PRINT_CONFIG": False}), Identity({"PRINT_CONFIG": False})]
    of_class = {number: [] for number in numbers}
    for number, parts in of_class.items():
        data = []
        for name, (gt, result) in sequences.items():
            raw = raw_data(name, gt[gt.classes == number], result[result.classes == number])
            raw["tracker_classes"] = [np.ones_like(classes) for classes in raw["tracker_classes"]]
            data.append(preprocessed(dataset, raw))
        for metric in metrics:
            parts.append(metric.combine_sequences({str(k): metric.eval_sequence(d) for k, d in enumerate(data)}))
    by_metric = [{number: parts[k] for number, parts in of_class.items()} for k in range(len(metrics))]
    combined = {
        "cls_av": [m.combine_classes_class_averaged(r) for m, r in zip(metrics, by_metric, strict=True)],
        "det_av": [m.combine_classes_det_averaged(r) for m, r in zip(metrics, by_metric, strict=True)],
    }
    return {name: _scores(parts) for name, parts in (of_class | combined).items()}


def raw_data(name, gt, result):
    """The rows as TrackEval's lists over frames."""
    num_frames = int(max(gt.frames.max(initial=1), result.frames.max(initial=1)))
    of_gt, of_result = (
        [rows[index] for index in np.split(order, np.searchsorted(rows.frames[order], np.arange(2, num_frames + 1)))]
        for rows in (gt, result)
        for order in (np.argsort(rows.frames, kind="stable"),)
    )
    return {
        "seq": name,
        "num_timesteps": num_frames,
        "gt_ids": [rows.ids for rows in of_gt],
        "gt_dets": [rows.boxes_ltwh for rows in of_gt],
        "gt_classes": [rows.classes for rows in of_gt],
        "gt_extras": [{"zero_marked": rows.scores.astype(int)} for rows in of_gt],
        "tracker_ids": [rows.ids for rows in of_result],
        "tracker_dets": [rows.boxes_ltwh for rows in of_result],
        "tracker_classes": [rows.classes for rows in of_result],
        "tracker_confidences": [rows.scores for rows in of_result],
    }


def preprocessed(dataset, raw):
    """TrackEval's overlaps and its removal of distractors."""
    boxes = zip(raw["gt_dets"], raw["tracker_dets"], strict=True)
    raw["similarity_scores"] = [dataset._calculate_similarities(*pair) for pair in boxes]
    return dataset.get_preprocessed_seq_data(raw, "pedestrian")


def _scores(parts):
    hota, clear, identity = parts
    scores = {
        name: float(np.mean(hota[name]))
        for name in ("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA")
    }
    scores |= {name: clear[name] for name in ("MOTA", "MOTP", "IDSW", "MT", "PT", "ML", "Frag")}
    scores |= {"FP": clear["CLR_FP"], "FN": clear["CLR_FN"]}
    return scores | {name: identity[name] for name in ("IDF1", "IDP", "IDR")}


def assert_equal_scores(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert abs(ours[name] - float(value)) < 1e-9, f"{name}: {ours[name]} instead of {value}"


def random_sequence(rng, max_objects=8, max_frames=12):
    """A sequence with exact ties, equal boxes, boxes without area, empty frames, all classes, zero marks, id swaps."""
    num_frames, num_objects = int(rng.integers(1, max_frames)), int(rng.integers(0, max_objects))
    grid = float(rng.choice([0.01, 1, 5, 10]))  # a coarse grid makes exact ties frequent
    start = rng.uniform(0, 60, (num_objects, 2))
    size = rng.uniform(0, 40, (num_objects, 2)) + 5
    if num_objects > 2 and rng.random() < 0.5:
        start[1], size[1] = start[0], size[0]
    classes = np.where(rng.random(num_objects) < 0.6, 1, rng.integers(1, 14, num_objects))
    gt, result = [], []
    tracker_id = rng.permutation(3 * num_objects + 2)[:num_objects] + 1
    free = 3 * num_objects + 10
    for frame in range(1, num_frames + 1):
        start = start + rng.normal(0, 3, start.shape)
        for number in rng.permutation(num_objects):
            box = np.round(np.concatenate([start[number], size[number]]) / grid) * grid
            if rng.random() < 0.03:
                box[2 + rng.integers(2)] = 0
            if rng.random() < 0.8:
                gt.append([frame, number * 3, *box, rng.random() < 0.9, classes[number]])
            if rng.random() < 0.75:
                noise = rng.normal(0, 3, 4) * (rng.random() < 0.7)
                seen = np.round((box + noise) / grid) * grid
                result.append([frame, tracker_id[number], *seen[:2], *np.maximum(seen[2:], 0)])
        for _ in range(rng.integers(0, 3)):
            free += 1
            result.append([frame, free, *(np.round(rng.uniform(0, 60, 4) / grid) * grid)])
        if num_objects > 1 and rng.random() < 0.3:
            a, b = rng.choice(num_objects, 2, replace=False)
            tracker_id[[a, b]] = tracker_id[[b, a]]
        if rng.random() < 0.15:
            gt = [row for row in gt if row[0] != frame]
        if rng.random() < 0.15:
            result = [row for row in result if row[0] != frame]
    return _rows(gt, 8), _rows([[*row, 0.5, 1] for row in result], 8)


def _rows(rows, width):
    table = np.array(rows, np.float64).reshape(-1, width)
    return MOTRows(
        frames=table[:, 0].astype(np.int64),
        ids=table[:, 1].astype(np.int64),
        boxes_ltwh=np.ascontiguousarray(table[:, 2:6]),
        scores=table[:, 6].copy(),
        classes=table[:, 7].astype(np.int64),
        visibility=np.ones(len(table)),
    )


def perturbed(gt, rng, flip=0.02, noise=4.0):
    """The ground truth as an imperfect tracker would see it: noise, misses, false alarms, broken and swapped ids."""
    keep = rng.random(len(gt)) > 0.15
    rows = gt[keep & np.isin(gt.classes, (-1, 1, 2, 7, 8, 12))]
    boxes = rows.boxes_ltwh + rng.normal(0, noise, (len(rows), 4))
    generation = np.cumsum(rng.random(len(rows)) < flip)  # from time to time a new id
    extra = rng.integers(0, max(len(rows), 1), len(rows) // 20) if len(rows) else np.zeros(0, int)
    ids = np.concatenate([rows.ids + 1 + 100_000 * (generation % 7), 1_000_000 + np.arange(len(extra))])
    found = np.concatenate([boxes, boxes[extra] + rng.normal(0, 30, (len(extra), 4))]).round(2)
    found[:, 2:] = np.maximum(found[:, 2:], 0)  # a result with negative sides is refused
    return MOTRows(
        frames=np.concatenate([rows.frames, rows.frames[extra]]),
        ids=ids,
        boxes_ltwh=found,
        scores=np.ones(len(ids)),
        classes=np.ones(len(ids), np.int64),
        visibility=np.ones(len(ids)),
    )
