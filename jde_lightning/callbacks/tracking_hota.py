"""Tracking quality of the current weights at validation, with and without appearance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
from tqdm import tqdm

from jde_lightning.callbacks.run_folder import run_folder
from jde_lightning.callbacks.validation import ValidationCallback, gather_from_ranks
from jde_lightning.files import written_whole
from jde_lightning.metrics.tracked_frames import identities_known, rows_of_classes
from jde_lightning.metrics.tracking import TrackingMetrics
from jde_lightning.plots.curves import plot_hota_over_epochs
from jde_lightning.plots.tracks import plot_tracks_over_time
from jde_lightning.structures import Detections, FrameAnnotations, Tracks, ValidationOutput
from jde_lightning.tracking.base import Tracker
from jde_lightning.tracking.yolo11_jde import YOLO11JDETracker

_LOGGED = {"HOTA": "hota", "DetA": "deta", "AssA": "assa", "MOTA": "mota", "IDF1": "idf1", "IDSW": "idsw"}


class TrackingHOTA(ValidationCallback):
    """Tracks the validation sequences on the detections of the one forward pass and logs HOTA, MOTA and IDF1.

    The same tracker runs a second time without appearance; ``hota_motion`` and its siblings show whether the embedding
    earns its keep. Metrics are those of TrackEval under MOTChallenge's rules, computed over all sequences together. Of
    several classes each is evaluated on its own, as ``hota/CLASS``, and all boxes have the same weight in the rest; a
    tracker that keeps them apart wants ``class_aware: true``.

    Args:
        every_n_epochs: measure at every n-th epoch; 0 is off.
        tracker: the tracker as ``class_path``; the paper's with its defaults if omitted.
        pictures: save a plot of the tracks of the first sequence and of HOTA over the epochs in the run's folder.
    """

    def __init__(
        self,
        every_n_epochs: int = 1,
        tracker: Callable[[float], Tracker] | None = None,
        pictures: bool = True,
    ) -> None:
        super().__init__(every_n_epochs)
        self.tracker = tracker or YOLO11JDETracker
        self.pictures = pictures
        self._history: list[tuple[int, float, float]] = []
        self.reset()

    def reset(self) -> None:
        """Forget what was collected."""
        self._sequences: dict[str, list[tuple[FrameAnnotations, Detections]]] = {}

    def state_dict(self) -> dict[str, Any]:
        """The values of past epochs, so that the plot goes on after a resume."""
        return {"history": self._history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the values of past epochs."""
        self._history = [(int(epoch), float(hota), float(motion)) for epoch, hota, motion in state_dict["history"]]

    def collect(self, output: ValidationOutput) -> None:
        """Add the frames of a batch to their sequences; single images cannot be tracked."""
        for frame, found in zip(output.frames, output.detections, strict=True):
            if frame.sequence is not None:
                self._sequences.setdefault(f"{frame.dataset}/{frame.sequence}", []).append((frame, found))

    def compute(self, trainer: pl.Trainer) -> dict[str, float]:
        """Track all sequences twice; nothing is logged where no rank has a sequence with identities."""
        tracked = {name: f for name, f in sorted(self._sequences.items()) if self._can_be_measured(name, f)}
        class_names = getattr(trainer.lightning_module, "class_names", ["person"])
        with_appearance, motion_only = _MetricsByClass(class_names), _MetricsByClass(class_names)
        pictured: tuple[str, list[tuple[FrameAnnotations, Tracks]]] | None = None
        for name, frames in tqdm(
            tracked.items(), desc="tracking", leave=False, delay=2, disable=not trainer.is_global_zero
        ):
            frames.sort(key=lambda pair: pair[0].frame)
            for metrics, appearance in ((with_appearance, True), (motion_only, False)):
                tracks = self._track(frames, appearance)
                metrics.update(tracks)
                if appearance and pictured is None:
                    pictured = name, tracks
        if not any(gather_from_ranks(bool(tracked))):
            if trainer.is_global_zero:
                self.warn_once("no validation sequence has identities: HOTA, MOTA and IDF1 are left out")
            return {}
        values = with_appearance.all_classes.compute()
        motion = motion_only.all_classes.compute()
        logged = {name: values[key] for key, name in _LOGGED.items()}
        logged |= {f"{name}_motion": motion[key] for key, name in _LOGGED.items()}
        logged |= {f"hota/{name}": metrics.compute()["HOTA"] for name, metrics in with_appearance.by_class.items()}
        folder = run_folder(trainer)
        if folder is not None:
            self._draw(trainer, folder / "pictures", pictured, logged)
        return logged

    def _can_be_measured(self, name: str, frames: list[tuple[FrameAnnotations, Detections]]) -> bool:
        """Whether a sequence has people, and all of them identities."""
        known = identities_known([frame for frame, _ in frames])
        if known is False:
            # without any identity it is data of another kind, which is said of all sequences together
            self.warn_once(f"sequence {name} has boxes without identity: it is left out of the tracking metrics")
        return bool(known)

    def _track(
        self, frames: list[tuple[FrameAnnotations, Detections]], appearance: bool
    ) -> list[tuple[FrameAnnotations, Tracks]]:
        """Run a fresh tracker over one sequence."""
        tracker = self.tracker(frames[0][0].frame_rate)
        tracker.appearance = tracker.appearance and appearance
        return [(frame, tracker.update(found)) for frame, found in frames]

    def _draw(
        self,
        trainer: pl.Trainer,
        folder: Path,
        pictured: tuple[str, list[tuple[FrameAnnotations, Tracks]]] | None,
        logged: dict[str, float],
    ) -> None:
        """Save the plots of this epoch over those of the last."""
        if trainer.state.fn == "fit":
            self._history = [entry for entry in self._history if entry[0] < trainer.current_epoch]
            self._history.append((trainer.current_epoch, float(logged["hota"]), float(logged["hota_motion"])))
        if not self.pictures:
            return
        if self._history:
            epochs, hota, motion = zip(*self._history, strict=True)
            with written_whole(folder / "hota_over_epochs.png") as path:
                plot_hota_over_epochs(epochs, hota, motion).savefig(path, dpi=110)
        if pictured is not None:
            name, tracks = pictured
            counts = [len(found) for _, found in tracks]
            figure = plot_tracks_over_time(
                np.repeat([frame.frame for frame, _ in tracks], counts),
                np.concatenate([found.ids for _, found in tracks]),
                np.concatenate([found.boxes for _, found in tracks]),
                title=f"{name}, HOTA over all sequences {100 * logged['hota']:.1f}",
            )
            with written_whole(folder / "tracks_over_time.png") as path:
                figure.savefig(path, dpi=110)


class _MetricsByClass:
    """Metrics of all classes together and, where there are several, of each."""

    def __init__(self, class_names: list[str]) -> None:
        self.all_classes = TrackingMetrics()
        self.by_class = {name: TrackingMetrics() for name in class_names} if len(class_names) > 1 else {}

    def update(self, tracks: list[tuple[FrameAnnotations, Tracks]]) -> None:
        """Add a sequence."""
        frames, found = zip(*tracks, strict=True)
        every = list(rows_of_classes(frames, found, max(len(self.by_class), 1)))
        for rows in every:
            self.all_classes.update(*rows)
        for metrics, rows in zip(self.by_class.values(), every if self.by_class else [], strict=True):
            metrics.update(*rows)
