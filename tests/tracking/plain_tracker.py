"""The same two trackers written as plainly as possible, as an oracle: one object per track, full 8x8 matrices, loops.

Nothing is shared with the package: parameters, state, distances and assignment are all done again from the description
of the method. It is slow on purpose.
"""

import lap
import numpy as np
from scipy.optimize import linear_sum_assignment

GATE = 9.4877
TRANSITION = np.eye(8) + np.eye(8, k=4)
OBSERVATION = np.eye(4, 8)

YOLO11_JDE = {
    "track_high_thresh": 0.15,
    "track_low_thresh": 0.1,
    "new_track_thresh": 0.6,
    "first_match_thresh": 0.7,
    "second_match_thresh": 0.05,
    "new_match_thresh": 0.95,
    "first_fuse": True,
    "second_fuse": False,
    "new_fuse": True,
    "proximity_thresh": 0.95,
    "appearance_thresh": 1.0,
    "gate_thresh": 0.65,
    "appearance_weight": 1.0,
    "min_weight": 0.55,
    "track_buffer": 40,
    "appearance": True,
    "motion_gate": GATE,
    "motion_weight": 0.02,
    "new_appearance": False,
    "class_aware": False,
}
FAIRMOT = {
    "conf_thresh": 0.35,
    "first_match_thresh": 0.1,
    "second_match_thresh": 0.85,
    "new_match_thresh": 0.7,
    "track_buffer": 40,
    "appearance": True,
    "motion_gate": GATE,
    "motion_weight": 0.02,
    "new_appearance": False,
    "class_aware": False,
}


def to_xyah(box):
    x1, y1, x2, y2 = (float(v) for v in box)
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / (y2 - y1), y2 - y1])


def process_noise(height):
    p, v = height / 20, height / 160
    return np.diag(np.square([p, p, 1e-2, p, v, v, 1e-5, v]))


def measurement_noise(height):
    p = height / 20
    return np.diag(np.square([p, p, 1e-1, p]))


class Track:
    def __init__(self, box, score, label, embedding, index, frame, track_id):
        p, v = to_xyah(box)[3] / 20, to_xyah(box)[3] / 160
        self.mean = np.concatenate([to_xyah(box), np.zeros(4)])
        self.covariance = np.diag(np.square([2 * p, 2 * p, 1e-2, 2 * p, 10 * v, 10 * v, 1e-5, 10 * v]))
        self.embedding = embedding
        self.votes = {int(label): float(score)}
        self.label = int(label)
        self.score, self.index, self.id = score, index, track_id
        self.start = self.end = frame
        self.confirmed = frame == 1
        self.state, self.aged_out = "tracked", False

    def predict(self):
        if self.state != "tracked":
            self.mean[6] = self.mean[7] = 0
        noise = process_noise(self.mean[3])
        self.mean = TRANSITION @ self.mean
        self.covariance = TRANSITION @ self.covariance @ TRANSITION.T + noise

    def project(self):
        covariance = OBSERVATION @ self.covariance @ OBSERVATION.T + measurement_noise(self.mean[3])
        return OBSERVATION @ self.mean, covariance

    def mahalanobis(self, box):
        mean, covariance = self.project()
        offset = to_xyah(box) - mean
        return offset @ np.linalg.inv(covariance) @ offset

    def update(self, box, score, label, embedding, index, frame):
        mean, covariance = self.project()
        gain = self.covariance @ OBSERVATION.T @ np.linalg.inv(covariance)
        self.mean = self.mean + gain @ (to_xyah(box) - mean)
        self.covariance = self.covariance - gain @ covariance @ gain.T
        if embedding is not None:
            mixed = 0.9 * self.embedding + 0.1 * embedding
            self.embedding = mixed / np.linalg.norm(mixed)
        self.votes[int(label)] = self.votes.get(int(label), 0.0) + float(score)
        if self.votes[int(label)] > self.votes[self.label]:
            self.label = int(label)
        self.score, self.index, self.end = score, index, frame
        self.confirmed, self.state = True, "tracked"

    @property
    def box(self):
        x, y, a, h = self.mean[:4]
        return np.array([x - a * h / 2, y - h / 2, x + a * h / 2, y + h / 2])


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inter = width * height
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def solve(cost, limit, full_lap=False):
    """Assignment where leaving a row or a column unmatched costs half the limit each.

    With ``full_lap`` by the authors' solver on the whole matrix, which decides ties; pairs at the limit stay out.
    """
    n, m = cost.shape
    if full_lap and n and m:
        columns = lap.lapjv(np.where(cost < limit, cost, 2 * limit + 1), extend_cost=True, cost_limit=limit)[1]
        return [(r, c) for r, c in enumerate(columns) if c >= 0]
    square = np.full((n + m, n + m), limit / 2)
    square[:n, :m] = np.minimum(cost, 1e6)
    square[n:, m:] = 0
    rows, columns = linear_sum_assignment(square)
    return [(r, c) for r, c in zip(rows, columns, strict=True) if r < n and c < m and cost[r, c] < limit]


class PlainTracker:
    """Both trackers; ``kind`` is ``yolo11_jde`` or ``fairmot``. Other keywords as in the package."""

    def __init__(self, kind, frame_rate=30, predict_unconfirmed=False, full_lap=False, **parameters):
        self.kind = kind
        self.p = {**(YOLO11_JDE if kind == "yolo11_jde" else FAIRMOT), **parameters}
        self.max_lost = int(frame_rate / 30 * self.p["track_buffer"])
        self.tracked, self.lost, self.removed = [], [], []
        self.frame = self.count = 0
        self.predict_unconfirmed, self.full_lap = predict_unconfirmed, full_lap
        self.events = {"refound_after_removal": 0, "kept_by_clipping": 0, "duplicates": 0, "second": 0, "refound": 0}

    # -- one frame ---------------------------------------------------------------------------------------------------
    def update(self, detections):
        self.frame += 1
        boxes = detections.boxes.astype(np.float64)
        embeddings = None
        if self.p["appearance"] and len(boxes):
            embeddings = detections.embeddings.astype(np.float64)
            embeddings = [e / np.linalg.norm(e) for e in embeddings]
        self.seen = (boxes, detections.scores, detections.labels, embeddings)
        scores = detections.scores
        unconfirmed = [t for t in self.tracked if not t.confirmed]
        pool = [t for t in self.tracked if t.confirmed]
        pool += [t for t in self.lost if t.id not in {u.id for u in pool}]
        for track in pool + (unconfirmed if self.predict_unconfirmed else []):
            track.predict()
        if self.kind == "yolo11_jde":
            high = [i for i in range(len(boxes)) if scores[i] >= np.float32(self.p["track_high_thresh"])]
            low = [
                i for i in range(len(boxes)) if scores[i] >= np.float32(self.p["track_low_thresh"]) and i not in high
            ]
            new_thresh, fuse_new = self.p["new_track_thresh"], self.p["new_fuse"]
        else:
            high = [i for i in range(len(boxes)) if scores[i] >= np.float32(self.p["conf_thresh"])]
            new_thresh, fuse_new = self.p["conf_thresh"], False

        refound, states = [], {t.id: t.state for t in pool}
        matches = self.first(pool, high)
        for r, c in matches:
            if states[pool[r].id] != "tracked":
                refound.append(pool[r])
                self.events["refound"] += 1
                self.events["refound_after_removal"] += states[pool[r].id] == "removed"
            self.take(pool[r], high[c])
        left = [t for i, t in enumerate(pool) if i not in {r for r, _ in matches} and t.state == "tracked"]
        high = [d for i, d in enumerate(high) if i not in {c for _, c in matches}]

        candidates = low if self.kind == "yolo11_jde" else high
        fuse = self.p.get("second_fuse", False)
        cost = self.own_class(self.iou_cost(left, candidates, fuse), left, candidates)
        matches = self.solve(cost, self.p["second_match_thresh"])
        self.events["second"] += len(matches)
        for r, c in matches:
            self.take(left[r], candidates[c], learn=self.kind == "fairmot")
        newly_lost = [t for i, t in enumerate(left) if i not in {r for r, _ in matches}]
        for track in newly_lost:
            track.state = "lost"
        if self.kind == "fairmot":
            high = [d for i, d in enumerate(high) if i not in {c for _, c in matches}]

        removed_now = []
        if self.p["new_appearance"] and self.p["appearance"]:
            matches = self.first(unconfirmed, high)
        else:
            cost = self.own_class(self.iou_cost(unconfirmed, high, fuse_new), unconfirmed, high)
            matches = self.solve(cost, self.p["new_match_thresh"])
        for r, c in matches:
            self.take(unconfirmed[r], high[c])
        for i, track in enumerate(unconfirmed):
            if i not in {r for r, _ in matches}:
                track.state = "removed"
                removed_now.append(track)
        high = [d for i, d in enumerate(high) if i not in {c for _, c in matches}]

        created = []
        for d in high:
            if scores[d] >= np.float32(new_thresh):
                self.count += 1
                look = None if embeddings is None else embeddings[d]
                created.append(Track(boxes[d], scores[d], detections.labels[d], look, d, self.frame, self.count))
        self.keep_books(created, refound, newly_lost, removed_now)
        return [t for t in self.tracked if t.confirmed]

    def keep_books(self, created, refound, newly_lost, removed_now):
        for track in self.lost:
            if self.frame - track.end > self.max_lost:
                track.state, track.aged_out = "removed", True
                removed_now.append(track)
        self.tracked = [t for t in self.tracked if t.state == "tracked"] + created + refound
        self.lost = [t for t in self.lost if t not in self.tracked] + newly_lost
        self.events["kept_by_clipping"] += sum(t.aged_out and t.id not in self.removed for t in newly_lost)
        self.lost = [t for t in self.lost if t.id not in self.removed]
        drop = set()
        for a in self.tracked:
            for b in self.lost:
                other_class = self.p["class_aware"] and a.label != b.label
                if 1 - overlap(a.box, b.box) < 0.15 and not other_class:
                    drop.add(b.id if a.end - a.start > b.end - b.start else a.id)
        self.events["duplicates"] += len(drop)
        self.tracked = [t for t in self.tracked if t.id not in drop]
        self.lost = [t for t in self.lost if t.id not in drop]
        self.removed += [t.id for t in removed_now]
        if len(self.removed) > 1000:
            self.removed = self.removed[-999:]

    def solve(self, cost, limit):
        return solve(cost, limit, self.full_lap)

    # -- pieces ------------------------------------------------------------------------------------------------------
    def take(self, track, detection, learn=True):
        boxes, scores, labels, embeddings = self.seen
        look = embeddings[detection] if learn and embeddings is not None else None
        track.update(boxes[detection], scores[detection], labels[detection], look, detection, self.frame)

    def iou_cost(self, tracks, detections, fuse):
        boxes, scores = self.seen[:2]
        cost = np.ones((len(tracks), len(detections)))
        for i, track in enumerate(tracks):
            for j, d in enumerate(detections):
                cost[i, j] = 1 - overlap(track.box, boxes[d]) * (float(scores[d]) if fuse else 1)
        return cost

    def own_class(self, cost, tracks, detections):
        """Infinite cost where the class of a track is not that of a detection, if that matters."""
        if self.p["class_aware"]:
            for i, track in enumerate(tracks):
                for j, d in enumerate(detections):
                    cost[i, j] = cost[i, j] if track.label == self.seen[2][d] else np.inf
        return cost

    def look_cost(self, tracks, detections):
        boxes, embeddings = self.seen[0], self.seen[3]
        cost = np.full((len(tracks), len(detections)), np.inf)
        for i, track in enumerate(tracks):
            for j, d in enumerate(detections):
                distance = track.mahalanobis(boxes[d])
                cosine = track.embedding @ embeddings[d] / np.linalg.norm(track.embedding)
                if distance <= self.p["motion_gate"]:
                    w = self.p["motion_weight"]
                    cost[i, j] = (1 - w) * max(0.0, 1 - cosine) + w * distance
        return cost

    def first(self, pool, high):
        cost, limit = self.first_cost(pool, high)
        return self.solve(self.own_class(cost, pool, high), limit)

    def first_cost(self, pool, high):
        p = self.p
        limit = p["first_match_thresh"]
        if self.kind == "fairmot":
            if not p["appearance"]:
                return self.iou_cost(pool, high, fuse=False), p["second_match_thresh"]
            return self.look_cost(pool, high), limit
        iou = self.iou_cost(pool, high, p["first_fuse"])
        if not p["appearance"]:
            return iou, limit
        look = self.look_cost(pool, high)
        look[look > p["appearance_thresh"]] = 1
        look[iou > p["proximity_thresh"]] = 1
        iou[look > p["gate_thresh"]] = 1
        return p["min_weight"] * iou + p["appearance_weight"] * look, limit
