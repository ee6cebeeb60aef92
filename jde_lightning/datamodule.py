"""JDEDataModule: official downloads in, batches out."""

from __future__ import annotations

import json
import logging
import os
import secrets
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
from torch.utils.data import DataLoader

from jde_lightning.data.augment import AugmentationConfig
from jde_lightning.data.collate import collate_training, collate_validation
from jde_lightning.data.datasets import FrameDataset, MosaicDataset
from jde_lightning.data.densest import densest_batch
from jde_lightning.data.frame_mix import FrameMix
from jde_lightning.data.identities import (
    IdentityTable,
    ambiguity_scopes,
    assign_training_identities,
    synthetic_identities,
)
from jde_lightning.data.images import TileCache
from jde_lightning.data.index import FrameIndex
from jde_lightning.data.index_cache import IndexCache, default_folder
from jde_lightning.data.linking import LinkingConfig
from jde_lightning.data.loaders import FramesLoader, TrainingLoader
from jde_lightning.data.overlaps import Overlap, find_duplicates, find_overlaps
from jde_lightning.data.readers.base import Reader
from jde_lightning.data.samplers import MosaicBatchSampler, SequenceBatchSampler
from jde_lightning.data.shared_cache import SharedTileCache, memory_folder
from jde_lightning.data.summary import describe, summarize
from jde_lightning.data.synthetic import SyntheticCrowd
from jde_lightning.data.workers import start_worker
from jde_lightning.errors import InputError, UsageError
from jde_lightning.files import written_whole
from jde_lightning.structures import Batch, IntArray, Role

_LOG = logging.getLogger(__name__)

_SPLITS_OF_STAGE = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": ("predict",)}
_DEFAULT_BATCH = 8  # where nothing is searched
_LARGE_BATCH = 32  # for sizing what must be sized before the batch size is found, and changes no result
_LISTED = 5  # overlaps in the log; `data check` lists all


class JDEDataModule(pl.LightningDataModule):
    """Reads datasets as they were downloaded and delivers mosaics for training and whole sequences for validation.

    Args:
        root: folder below which the readers look; the one value that depends on the machine.
        train: readers of the training data.
        val: readers of the validation data.
        test: readers of the test data; those of ``val`` if omitted.
        predict: readers of the data to detect in; those of ``val`` if omitted.
        class_names: names of the classes in the order of the class index; one class "person" if omitted. The classes of
            a dataset are found by name; its objects of other classes are not looked for.
        image_size: long side of the network's input in training, in pixels, a multiple of 32.
        val_image_size: the same wherever frames are shown as they are: validation, test and prediction, and later
            ``track``; as in training if omitted. A larger one shows small people better for less time than training
            at that size takes.
        batch_size: mosaics in a batch, per process; ``auto`` is the most of which the densest batch fits into the
            memory of every GPU (key ``auto_batch_size``), and 8 without a GPU.
        val_batch_size: frames in a validation batch, per process; ``batch_size`` if omitted.
        num_workers: processes that load data, per process that trains, at most as many as there are cores; 0 loads in
            the training process. No number changes a result.
        augmentation: what is done to the mosaics; the paper's values if omitted.
        amodal_boxes: teach whole boxes, also where they leave the image, as MOT17 and CrowdHuman annotate them (and
            MOT17's evaluation measures them); ``False``, as in the paper, teaches the part inside the image.
        mosaic_mode: how mosaics get to show the same box twice, which gives the Re-ID loss its positives.
            ``buffer`` is the paper's: three of the four tiles come from the images used last. ``paired`` shows every
            image ``views`` times in a batch.
        buffer_size: length of the buffer in images, eight batches if omitted (Ultralytics' rule).
        views: how many times ``paired`` shows an image in a batch.
        epoch_repeats: how many times an epoch goes through the training images; more than 1 makes epochs of small
            datasets long enough that validation does not dominate.
        buffer_lanes: number of buffers that batches take turns in. As many as there are workers makes each worker
            decode only what it queued itself, which is how Ultralytics loads; the result depends on this number, not
            on the number of workers.
        identities: who is the same person where nobody has labelled it. ``per_box`` is the paper's: every box is
            somebody else. ``linked``: in videos, boxes of neighbouring frames that can only be the same object share an
            identity, which gives positives across frames.
        ambiguity: which boxes without an annotated identity may show the same person under different identities, which
            the Re-ID loss leaves alone with ``negatives: certain``: all of one ``sequence`` in different frames, or
            only those of one ``chain`` of linked boxes.
        linking: when boxes are linked, with ``linked`` and ``chain``; see :mod:`~jde_lightning.data.linking`.
        mix: how often an epoch shows the images of a dataset, by the name of its reader, 1 where omitted:
            ``{CrowdHuman: 1.0, MOT17: 2.0}`` shows each image of MOT17 twice.
        keep_background: whether images without a box to learn are shown in training.
        fused: warp each image straight into the sample; ``False`` resizes, pastes and warps to the same pixels as
            Ultralytics, which takes longer.
        cache: where decoded training images are kept: ``worker``, each worker the last ones; ``shared``, all workers of
            the machine together the first ones; ``none``. No choice changes a result.
        cache_images: how many images each worker keeps with ``worker``; a little more than the buffer, at most 256, if
            omitted.
        cache_gb: how much memory the kept images may take, in GB (10^9 bytes): in each worker with ``worker``, on the
            machine with ``shared``.
        synthetic: a synthetic crowd to render below ``root`` first, if it is not there yet.
        index_cache: folder that keeps what was read of the annotations, so that it is read once: ``True`` for the usual
            place (``$XDG_CACHE_HOME/jde_lightning/index``, else below ``~/.cache``), ``False`` to read anew in every
            process. What changed is read again; the folder may be deleted at any time.
        seed: seed of sampling and augmentation; results depend on it, the epoch and the index only.
    """

    def __init__(
        self,
        root: str = ".",
        train: list[Reader] | None = None,
        val: list[Reader] | None = None,
        test: list[Reader] | None = None,
        predict: list[Reader] | None = None,
        class_names: list[str] | None = None,
        image_size: int = 640,
        val_image_size: int | None = None,
        batch_size: int | Literal["auto"] = 8,
        val_batch_size: int | None = None,
        num_workers: int = 4,
        augmentation: AugmentationConfig | None = None,
        amodal_boxes: bool = False,
        mosaic_mode: Literal["buffer", "paired"] = "buffer",
        buffer_size: int | None = None,
        views: int = 2,
        epoch_repeats: int = 1,
        buffer_lanes: int = 1,
        identities: Literal["per_box", "linked"] = "per_box",
        ambiguity: Literal["sequence", "chain"] = "chain",
        linking: LinkingConfig | None = None,
        mix: dict[str, float] | None = None,
        keep_background: bool = True,
        fused: bool = True,
        cache: Literal["none", "worker", "shared"] = "worker",
        cache_images: int | None = None,
        cache_gb: float = 4.0,
        synthetic: SyntheticCrowd | None = None,
        index_cache: bool | str = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", 1 if batch_size == "auto" else batch_size, 1),
            ("views", views, 1),
            ("epoch_repeats", epoch_repeats, 1),
            ("num_workers", num_workers, 0),
            ("cache_gb", cache_gb, 0),
        ):
            if value < least:
                msg = f"data.{name} must be at least {least}, got {value}"
                raise UsageError(msg)
        val_image_size = image_size if val_image_size is None else val_image_size
        for name, value in (("image_size", image_size), ("val_image_size", val_image_size)):
            if value % 32 or value <= 0:
                msg = f"data.{name} must be a positive multiple of 32, got {value}"
                raise UsageError(msg)
        if cache not in ("none", "worker", "shared"):
            msg = f"data.cache is {cache!r}, expected none, worker or shared"
            raise UsageError(msg)
        if identities not in ("per_box", "linked"):
            msg = f"data.identities is {identities!r}, expected per_box or linked"
            raise UsageError(msg)
        if ambiguity not in ("sequence", "chain"):
            msg = f"data.ambiguity is {ambiguity!r}, expected sequence or chain"
            raise UsageError(msg)
        self.root = Path(root).expanduser()
        self.readers = {
            "train": train or [],
            "val": val or [],
            "test": test or val or [],
            "predict": predict or val or [],
        }
        self.class_names = list(class_names) if class_names else ["person"]
        self.image_size = image_size
        self.val_image_size = val_image_size
        self.batch_size = batch_size
        self.val_batch_size = val_batch_size or (_DEFAULT_BATCH if batch_size == "auto" else batch_size)
        self.num_workers = min(num_workers, _cores())
        self.augmentation = augmentation or AugmentationConfig()
        self.amodal_boxes = amodal_boxes
        self.mosaic_mode: Literal["buffer", "paired"] = mosaic_mode
        self.buffer_size = buffer_size or 8 * (_LARGE_BATCH if batch_size == "auto" else batch_size)
        self._follow_batch_size = (val_batch_size is None, buffer_size is None)
        self._batch_size_is_auto = batch_size == "auto"
        self.views = views
        self.epoch_repeats = epoch_repeats
        self.buffer_lanes = buffer_lanes
        # a quarter more than the buffer, which is still in use while the next batch comes in; bounded for memory's sake
        self.cache_images = min(self.buffer_size * 5 // 4, 256) if cache_images is None else cache_images
        self.identities: Literal["per_box", "linked"] = identities
        self.ambiguity: Literal["sequence", "chain"] = ambiguity
        self.linking = linking or LinkingConfig()
        self.mix = mix
        self.keep_background = keep_background
        self.fused = fused
        self.cache: Literal["none", "worker", "shared"] = cache
        self.cache_gb = cache_gb
        self.synthetic = synthetic
        self.index_cache = index_cache
        self.seed = seed
        self.indices: dict[str, FrameIndex] = {}
        self.identity_table: IdentityTable | None = None
        self._train_dataset: MosaicDataset | None = None
        folder = default_folder() if index_cache is True else Path(index_cache).expanduser() if index_cache else None
        self._cache = IndexCache(folder)

    def prepare_data(self) -> None:
        """Render the synthetic crowd, if one is configured and not there yet, and read what is not in the index cache.

        Lightning calls it on one process, for the splits of its stage; called by hand it prepares for ``fit``.

        Raises:
            InputError: if a dataset cannot be read.
        """
        if self.synthetic is not None and not self.synthetic.is_written(self.root):
            self.synthetic.write(self.root)
        if self._cache.folder is not None:
            stage = self.trainer.state.fn if self.trainer is not None else None
            for split in _SPLITS_OF_STAGE[stage or "fit"]:
                if self.readers[split]:
                    self._cache.index(self.readers[split], self.root, self.class_names, progress=True)

    def setup(self, stage: str) -> None:
        """Load the annotations that the stage needs; they are read where :meth:`prepare_data` has not done it.

        For ``fit`` it also numbers the identities, keeps the table in the run's folder as ``identities.json``, and
        warns of frames that are in both training and validation.

        Args:
            stage: ``fit``, ``validate``, ``test`` or ``predict``.

        Raises:
            InputError: if nothing is configured for the stage, or a dataset cannot be read.
        """
        for split in _SPLITS_OF_STAGE[stage]:
            self.frame_index(split)
        if stage == "fit" and self._train_dataset is None:
            self._warn_of_overlaps()
            index = self.indices["train"]
            identities, self.identity_table = self.training_identities()
            self._train_dataset = MosaicDataset(
                index,
                identities,
                image_size=self.image_size,
                augmentation=self.augmentation,
                cache=self._tile_cache(len(index)),
                scopes=ambiguity_scopes(
                    index, identities, self.identity_table, self.linking if self.ambiguity == "chain" else None
                ),
                amodal_boxes=self.amodal_boxes,
                fused=self.fused,
            )
        if stage == "fit":
            self._write_identities()

    def frame_index(self, split: str) -> FrameIndex:
        """Return all frames of a split, read once.

        Args:
            split: ``train``, ``val``, ``test`` or ``predict``.

        Raises:
            InputError: if the split has no readers, or a dataset cannot be read.
        """
        if split not in self.indices:
            self.indices[split] = self._read(split)
        return self.indices[split]

    def training_identities(self) -> tuple[IntArray, IdentityTable]:
        """Number the identities of the training boxes; where boxes are linked, the log says how many became one.

        Returns:
            ``(N,)`` int64 aligned with the boxes of the training index, and what the numbers mean; see
            :func:`~jde_lightning.data.identities.assign_training_identities`.

        Raises:
            InputError: if there is no training data, or a dataset cannot be read.
        """
        index = self.frame_index("train")
        linking = self.linking if self.identities == "linked" else None
        identities, table = assign_training_identities(index, linking=linking)
        if linking is not None and self._rank == 0:
            for summary in summarize(index, synthetic_identities(identities, table)):
                _LOG.info("train: %s: %s", summary.name, summary.training_mode)
        return identities, table

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of mosaics; the sampler carries all random choices, so workers change nothing."""
        if self._train_dataset is None:
            self.setup("fit")
        if self.batch_size == "auto":
            msg = "data.batch_size is auto, and nothing has looked for a number: add the callback AutoBatchSize"
            raise InputError(msg)
        sampler = MosaicBatchSampler(
            frames=self._frame_mix(),
            batch_size=self.batch_size,
            mode=self.mosaic_mode,
            buffer_size=self.buffer_size,
            views=self.views,
            buffer_lanes=self.buffer_lanes,
            repeats=self.epoch_repeats,
            seed=self.seed,
            rank=self._rank,
            world_size=self._world_size,
            mixup=self.augmentation.mixup > 0,
        )
        dataset: Any = self._train_dataset  # of samples, which collate_fn makes batches of
        loader = TrainingLoader(
            dataset,
            sampler=sampler,
            batch_size=None,  # the sampler yields whole batches
            collate_fn=collate_training,
            num_workers=self.num_workers,
            worker_init_fn=start_worker,
            pin_memory=self._on_gpu,
            persistent_workers=self.num_workers > 0,
        )
        loader.due = self._due_batch
        return loader

    def set_batch_size(self, batch_size: int) -> None:
        """Set the batch size, and with it the sizes of the buffer and of validation batches where they were omitted."""
        follows = self._follow_batch_size
        self.batch_size = batch_size
        if follows[0]:
            self.val_batch_size = batch_size
        if follows[1]:
            self.buffer_size = 8 * batch_size

    @property
    def batch_size_limits(self) -> tuple[int, int]:
        """The smallest batch size that mosaics allow, and the largest that the training images fill once."""
        smallest = self.views if self.mosaic_mode == "paired" else 1
        return smallest, len(self._frame_mix()) * self.epoch_repeats // self._world_size

    def densest_batch(self, batch_size: int | None = None) -> Batch:
        """Build the batch with the most boxes that training can meet; see :mod:`~jde_lightning.data.densest`.

        Args:
            batch_size: number of mosaics; that of training if omitted.
        """
        if self._train_dataset is None:
            self.setup("fit")
        size = batch_size or self.batch_size
        if size == "auto":
            msg = "data.batch_size is auto: say how many mosaics the batch shall have"
            raise InputError(msg)
        views = self.views if self.mosaic_mode == "paired" else 1
        assert self._train_dataset is not None  # setup has made it
        return densest_batch(self._train_dataset, self._frame_mix().all_images, size, views, self.seed)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Whole sequences, frames in order."""
        return self._frames_loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Whole sequences, frames in order."""
        return self._frames_loader("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Whole sequences, frames in order."""
        return self._frames_loader("predict")

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of the data: classes, size, and who the identities are."""
        table = self.identity_table
        return {
            "class_names": self.class_names,
            "image_size": self.image_size,
            "batch_size": self.batch_size,
            "identities": None if table is None else table.as_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the batch size of the run, where it was looked for: the place in the epoch is counted in batches.

        Lightning calls it before it asks for a loader.
        """
        found = state_dict.get("batch_size")
        if self._batch_size_is_auto and isinstance(found, int):
            _LOG.info("data.batch_size auto is %d, as in the checkpoint", found)
            self.set_batch_size(found)

    def _frame_mix(self) -> FrameMix:
        """Which images training shows how often."""
        return FrameMix.of_index(self.indices["train"], self.mix, self.keep_background, self.seed)

    def _due_batch(self) -> int:
        """Number of the batch that training wants next: not 0 where a run goes on in the middle of an epoch."""
        if self.trainer is None or not self.trainer.training:
            return 0
        return self.trainer.fit_loop.epoch_loop.batch_progress.current.ready

    def _tile_cache(self, num_images: int) -> TileCache | SharedTileCache:
        """Where decoded images are kept."""
        max_bytes = int(self.cache_gb * 1e9)
        behind = TileCache(0 if self.cache == "none" else self.cache_images, max_bytes)
        if self.cache != "shared":
            return behind
        if self._world_size == 1:
            return SharedTileCache(num_images, max_bytes, behind)
        # The processes of a machine find each other by a name that they agree on, and remove it when all have done so.
        assert self.trainer is not None  # more than one process only comes with one
        strategy = self.trainer.strategy
        name = strategy.broadcast(f"jde-lightning-{secrets.token_hex(8)}")
        cache = SharedTileCache(num_images, max_bytes, behind, memory_folder() / name)
        strategy.barrier("shared_cache")
        cache.forget_name()
        return cache

    def _frames_loader(self, split: str) -> DataLoader[Batch]:
        """Loader over the frames of a split, in the order of their sequences."""
        index = self.indices[split]
        sampler = SequenceBatchSampler(
            index,
            self.val_batch_size,
            rank=self._rank,
            world_size=self._world_size,
            image_size=self.val_image_size,
        )
        dataset: Any = FrameDataset(index, image_size=self.val_image_size)  # of samples: collate_fn makes batches
        return FramesLoader(
            dataset,
            sampler=sampler,
            batch_size=None,
            collate_fn=collate_validation,
            num_workers=self.num_workers,
            worker_init_fn=start_worker,
            pin_memory=self._on_gpu,
        )

    def _read(self, split: str) -> FrameIndex:
        """Run the readers of a split."""
        readers = self.readers[split]
        if not readers:
            msg = f"data.{split} names no reader; give a list such as [{{class_path: MOTChallenge}}]"
            raise UsageError(msg)
        index = self._cache.index(readers, self.root, self.class_names, progress=self._rank == 0)
        if self._rank == 0:
            _LOG.info("%s: %s", split, describe(index))
            for name, findings in index.findings.items():
                met = findings.summary()
                if met and (name, met) not in self._cache.told:
                    _LOG.warning("%s: %s: %s", split, name, met)
            objects = np.bincount(index.labels[index.roles == Role.POSITIVE], minlength=len(self.class_names))
            absent = [name for name, count in zip(self.class_names, objects.tolist(), strict=True) if count == 0]
            if absent:
                _LOG.warning("%s: there are no objects of class %s", split, ", ".join(absent))
        return index

    def _warn_of_overlaps(self) -> None:
        """Warn of frames that are in training and validation, or twice in training; `data check` tells the rest."""
        if self._rank != 0:
            return
        found: list[Overlap] = find_overlaps(self.indices["train"], self.indices["val"])
        found = [overlap for overlap in found if overlap.severity == "leak"] + find_duplicates(self.indices["train"])
        lines = [overlap.text for overlap in found[:_LISTED]]
        if len(found) > _LISTED:
            lines.append(f"and {len(found) - _LISTED} more")
        if lines:
            _LOG.warning("data: %s", "; ".join(lines))

    def _write_identities(self) -> None:
        """Keep the identity table in the folder of the run, if it has one."""
        if self.trainer is None or not self.trainer.loggers or self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        folder = self.trainer.log_dir  # every process must ask: the first one tells the others
        if folder is None or not self.trainer.is_global_zero or self.identity_table is None:
            return
        with written_whole(Path(folder) / "identities.json") as path:
            path.write_text(json.dumps(self.identity_table.as_dict()), encoding="utf-8")

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer is not None else 0

    @property
    def _world_size(self) -> int:
        return self.trainer.world_size if self.trainer is not None else 1

    @property
    def _on_gpu(self) -> bool:
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"


def _cores() -> int:
    """Cores that this process may use, which on a cluster are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
