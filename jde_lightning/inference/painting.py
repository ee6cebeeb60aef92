"""Annotated frames of a run, as a video and as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import cv2

from jde_lightning.files import written_whole
from jde_lightning.inference.drawing import Trails, draw_tracks
from jde_lightning.inference.frames import Frame, FrameSource
from jde_lightning.inference.stopwatch import Stopwatch
from jde_lightning.inference.video import VideoWriter
from jde_lightning.structures import Tracks

_TRAIL_SECONDS = 2.0
_TRAIL_FRAMES = 10
"""A path of fewer points shows no direction, however long they take."""


class Painter:
    """Draws the tracks of each frame, and writes the pictures that were asked for.

    The video is finished when the block ends; after an exception there is none. The pictures are files of their own,
    each written whole as its frame comes.

    Args:
        source: whose frames are painted; gives the frame rate.
        class_names: name of each class index.
        times: where the stages ``draw`` and ``write`` are timed.
        video: the video to write, if any.
        pictures: the folder of JPEG files to write, if any.
    """

    def __init__(
        self,
        source: FrameSource,
        class_names: Sequence[str],
        times: Stopwatch,
        video: Path | None = None,
        pictures: Path | None = None,
    ) -> None:
        self.class_names = class_names
        self.times = times
        self.pictures = pictures
        self._trails = Trails(length=max(_TRAIL_FRAMES, round(_TRAIL_SECONDS * source.frame_rate)))
        self._video = VideoWriter(video, source.frame_rate) if video is not None else None
        self._live = source.live
        self._first: int | None = None

    def __enter__(self) -> Painter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the video; after an exception, leave none."""
        if self._video is not None:
            self._video.__exit__(kind, error, trace)

    def paint(self, frame: Frame, tracks: Tracks) -> None:
        """Draw one frame, and write it.

        Args:
            frame: the next one; its image stays as it is.
            tracks: of this frame.
        """
        if self._video is None and self.pictures is None:
            return
        with self.times.stage("draw"):
            self._trails.update(tracks)
            drawn = draw_tracks(frame.image, tracks, self._trails, frame.number, self.class_names)
        with self.times.stage("write"):
            if self._video is not None:
                self._video.write(drawn, self._position(frame.number))
            if self.pictures is not None:
                with written_whole(self.pictures / f"{frame.number:06d}.jpg") as path:
                    path.write_bytes(cv2.imencode(".jpg", drawn)[1].tobytes())

    def _position(self, number: int) -> int | None:
        """Where in the video a frame belongs: of a live source where it was in time, or people would run."""
        self._first = number if self._first is None else self._first
        return number - self._first if self._live else None
