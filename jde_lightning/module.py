"""JDEModule: network, joint loss and optimiser as one LightningModule."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import nn

from jde_lightning import __version__
from jde_lightning.errors import InputError, NonFiniteError, UsageError
from jde_lightning.files import written_whole
from jde_lightning.losses.checks import NonFiniteEmbeddingsError
from jde_lightning.losses.joint import JDELoss
from jde_lightning.losses.reid import ReIDLoss
from jde_lightning.losses.weighting import FixedWeights, UncertaintyWeights
from jde_lightning.models.compiling import CompiledForward, CompileMode
from jde_lightning.models.network import YOLO11JDE, EmbeddingMode
from jde_lightning.models.norm_statistics import share_norm_statistics
from jde_lightning.optimization import default_optimizer, parameter_groups
from jde_lightning.schedule import WarmupLinear, WarmupLinearScheduler
from jde_lightning.structures import Batch, Detections, ValidationOutput

_LOG = logging.getLogger(__name__)


class JDEModule(pl.LightningModule):
    """Trains a detector and an appearance embedding together (YOLO11-JDE, sections 3.1 to 3.3).

    The module computes and the callbacks measure: ``validation_step`` runs the network once and returns a
    :class:`~jde_lightning.structures.ValidationOutput` that every metric reads.

    Args:
        scale: size of YOLO11.
        embed_dim: width of the embedding (paper: 128).
        reid_branch: layers of the Re-ID branch: ``plain`` is the paper's, ``light`` has depth-wise convolutions at
            about a sixth of the cost (docs/reid_branches.md).
        reid_fusion: whether the embedding of each level also sees the features of the other levels.
        embedding_pooling: which anchors describe a detected box: ``best`` is the paper's, the one that predicted it;
            ``mean`` averages over all that found it. Both describe with the same weights; kept with the checkpoint.
        class_names: names of the classes, in the order of the class index; one class "person" if omitted.
        image_size: long side of the network's input in pixels where it is used (``data.val_image_size``); kept with
            the weights for those who use them alone.
        weights: file to start from: a COCO YOLO11 checkpoint, the authors' weights or one of ours. To go on with a
            run, pass ``--ckpt_path`` instead.
        box_gain: weight of the box loss.
        cls_gain: weight of the class loss.
        dfl_gain: weight of the distribution focal loss.
        reid_gain: weight of the Re-ID loss (paper, Table 4: 1.0).
        reid_loss: the Re-ID loss; hard positives, semi-hard negatives and a triplet margin of 0.075 if omitted.
        loss_weighting: how detection and Re-ID are weighed against each other: ``fixed`` by the gains, which is the
            paper; ``uncertainty`` by weights that are learned with the network and logged as
            ``train/detection_weight`` and ``train/reid_weight``, on top of the gains.
        small_target_stride: enlarge targets smaller than this many pixels when anchors are assigned. ``None`` is the
            current Ultralytics rule, 0 the paper's assigner, which had none.
        joint_normalizer: where several processes train, whether the detection losses are divided by the targets of all
            of them together, so that N processes with batch b train as one with batch N * b. ``False`` is Ultralytics:
            each divides by those of its own batch, and one with hardly any outweighs the others.
        ignore_regions: whether what is annotated as neither object nor background (crowds, statues, people too hidden
            to learn) is left out of the class loss; ``False`` is the paper, where it is background.
        optimizer: the optimiser as ``class_path``. ``None`` is the paper's rule: SGD (0.01, Nesterov momentum 0.937)
            for more than 10,000 iterations, else AdamW with ``0.002 * 5 / (4 + classes)``.
        weight_decay: decay of weights; norms and biases have none. Overrides the optimiser's own.
        reid_lr_factor: factor on the learning rate of the Re-ID branch, which starts from random weights while the
            detector starts from a trained one.
        frozen_layers: number of layers, from the input, that are not trained: their weights and their batch-norm
            statistics stay as they are. 0 trains everything, 11 freezes the backbone, 23 all but the head.
        frozen_branches: branches of the head that are not trained either: ``box``, ``class``, ``reid``. With 23 frozen
            layers, ``[box, class]`` leaves a trained detector exactly as it is and trains the Re-ID branch alone.
        norm_eval: batch norms keep the statistics of the weights that training starts from, instead of those of each
            batch; those of the Re-ID branch, which starts from nothing, learn theirs. For fine-tuning with few images
            or small batches, and needed for weights whose batch norms were folded into the convolutions.
        schedule: warm-up and decay of the learning rate.
        conf: lowest confidence of a detection in validation and prediction.
        iou: overlap above which non-maximum suppression drops the weaker box.
        max_det: most detections in an image.
        channels_last: keep feature maps channels-last, which is faster on most CPUs and on tensor cores.
        embeddings: where the Re-ID branch runs in validation and prediction: ``dense``, everywhere; ``late``, for what
            is left after suppression; ``auto``, as is faster. The numbers are the same but for rounding. Training needs
            all.
        compile: whether ``predict`` runs the network through ``torch.compile`` (docs/inference.md).
    """

    def __init__(
        self,
        scale: Literal["n", "s", "m", "l", "x"] = "s",
        embed_dim: int = 128,
        reid_branch: Literal["plain", "light"] = "plain",
        reid_fusion: bool = False,
        embedding_pooling: Literal["best", "mean"] = "best",
        class_names: list[str] | None = None,
        image_size: int = 640,
        weights: str | None = None,
        box_gain: float = 7.5,
        cls_gain: float = 0.5,
        dfl_gain: float = 1.5,
        reid_gain: float = 1.0,
        reid_loss: ReIDLoss | None = None,
        loss_weighting: Literal["fixed", "uncertainty"] = "fixed",
        small_target_stride: int | None = None,
        joint_normalizer: bool = True,
        ignore_regions: bool = True,
        optimizer: OptimizerCallable | None = None,
        weight_decay: float = 5e-4,
        reid_lr_factor: float = 1.0,
        frozen_layers: int = 0,
        frozen_branches: list[Literal["box", "class", "reid"]] | None = None,
        norm_eval: bool = False,
        schedule: WarmupLinear | None = None,
        conf: float = 0.001,
        iou: float = 0.7,
        max_det: int = 300,
        channels_last: bool = True,
        embeddings: Literal["dense", "late", "auto"] = "auto",
        compile: Literal["none", "default", "reduce-overhead"] = "none",
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.class_names = list(class_names) if class_names else ["person"]
        self.network = YOLO11JDE(scale, len(self.class_names), embed_dim, reid_branch, reid_fusion, embedding_pooling)
        if channels_last:
            self.network = self.network.to(memory_format=torch.channels_last)
        self.loss = JDELoss(
            num_classes=len(self.class_names),
            strides=self.network.strides,
            reg_max=self.network.reg_max,
            box=box_gain,
            cls=cls_gain,
            dfl=dfl_gain,
            reid=reid_gain,
            reid_loss=reid_loss,
            small_target_stride=small_target_stride,
            joint_normalizer=joint_normalizer,
            ignore_regions=ignore_regions,
            weighting=_make_weighting(loss_weighting),
        )
        self.image_size = image_size
        self._configured_decays: list[float] = []
        self._optimizer_factory = _SharedByCopies(optimizer)
        self.weight_decay = weight_decay
        self.reid_lr_factor = reid_lr_factor
        self.frozen_layers = frozen_layers
        self.norm_eval = norm_eval
        self.schedule = schedule or WarmupLinear()
        self.conf, self.iou, self.max_det = conf, iou, max_det
        self.channels_last = channels_last
        self.embeddings: EmbeddingMode = embeddings
        self._compile_mode: CompileMode = compile
        self._compiled: tuple[YOLO11JDE, CompiledForward] | None = None  # a tuple, lest its weights be saved
        # What never trains is decided here and is not in the optimiser; `freeze` may freeze more for a while.
        self._frozen = self._parts(frozen_layers, frozen_branches or [])
        for part in self._frozen:
            part.requires_grad_(False)
        self._never_trained = list(self._frozen)
        self._trainable = [name for name, parameter in self.named_parameters() if parameter.requires_grad]
        self._has_folded_norms = False
        if weights is not None:
            self._has_folded_norms = bool(self.network.load_weights(weights).folded)

    def on_fit_start(self) -> None:
        """Switch to training: Lightning leaves every layer in the mode that it finds, also the frozen ones."""
        self.train()
        if self.frozen_layers and self.has_random_layers:
            text = "model.frozen_layers is %d, but no weights were loaded: these layers stay random; give model.weights"
            _LOG.warning(text, self.frozen_layers)
        if self._has_folded_norms and not self.norm_eval:
            _LOG.warning("batch norms of model.weights are folded: set model.norm_eval true, or the detector forgets")

    def on_train_start(self) -> None:
        """See to it that a resumed training has the optimiser that is configured.

        Learning rates follow the schedule, which is the configuration's.

        Raises:
            InputError: if the checkpoint's optimiser is of another kind.
        """
        if self.trainer.ckpt_path is None:
            return
        for optimizer in self.trainer.optimizers:
            saved, wanted = optimizer.param_groups[0], type(optimizer).__name__
            if absent := optimizer.defaults.keys() - saved.keys():
                msg = (
                    f"--ckpt_path: the checkpoint's optimiser has no {', '.join(sorted(absent))}: it is no {wanted}; "
                    "go on with the optimiser of the run's config.yaml, or start anew from its weights (model.weights)"
                )
                raise InputError(msg)
            for group, weight_decay in zip(optimizer.param_groups, self._configured_decays, strict=True):
                group["weight_decay"] = weight_decay

    @property
    def has_random_layers(self) -> bool:
        """Whether training begins from random weights."""
        return self.network.loaded_from is None and self.trainer.ckpt_path is None

    def forward(self, images: torch.Tensor) -> list[Detections]:
        """Detect in a batch of images.

        Args:
            images: ``(B, 3, H, W)`` uint8, or float in 0..1, RGB.

        Returns:
            ``B`` detections in the pixels of ``images``.
        """
        images = self._prepare(images)
        settings: Any = {
            "conf": self.conf,
            "iou": self.iou,
            "max_det": self.max_det,
            "embeddings": self.embeddings,
        }
        if self._compiled is None:
            return self.network.detect(images, **settings)
        network, maps = self._compiled
        with torch.inference_mode():
            return network.decode(maps(images), **settings)

    def joint_loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the joint loss of a batch and its terms, and nothing else: nothing is logged, no trainer is asked.

        Returns:
            See :meth:`~jde_lightning.losses.joint.JDELoss.forward`.

        Raises:
            NonFiniteEmbeddingsError: if embeddings are NaN or infinite.
        """
        return self.loss(self.network(self._prepare(batch["images"])), batch)

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Return the joint loss of a batch and log its terms.

        Raises:
            NonFiniteError: if embeddings are NaN or infinite; the batch is then saved in the run's folder. With several
                processes the loss is NaN instead: nobody waits for ever, and ``nan_guard`` stops them all.
        """
        images = batch["images"]
        try:
            total, items = self.joint_loss(batch)
        except NonFiniteEmbeddingsError as error:
            if self.trainer.world_size == 1:
                raise self.non_finite_error(batch, batch_idx, str(error)) from error
            # The others wait for gradients: NaN for every parameter keeps this process in step with them.
            return sum(p.sum() for p in self.parameters() if p.requires_grad) * torch.nan  # type: ignore[return-value]
        self.log_dict(
            {f"train/{name}": value for name, value in items.items()},
            batch_size=len(images),
            on_step=True,
            on_epoch=False,
            prog_bar=False,
        )
        self.log("loss", total.detach() / len(images), prog_bar=True, logger=False, batch_size=len(images))
        # Lightning averages over accumulated batches and DDP over ranks; Ultralytics, and so the paper, sums them.
        return total * self.trainer.accumulate_grad_batches * self.trainer.world_size

    def on_validation_epoch_start(self) -> None:
        """Validate one network on all processes: the callbacks have put the averaged weights in, if there are."""
        share_norm_statistics(self.network)
        wrapper = self.trainer.strategy.model
        if isinstance(wrapper, nn.parallel.DistributedDataParallel):
            # Its first forward would do the same, and wait for a process that has nothing to validate.
            wrapper.require_forward_param_sync = False

    def non_finite_error(self, batch: Batch, batch_idx: int, found: str) -> NonFiniteError:
        """Save a batch that gave NaN or infinity, and return the error that says so.

        Args:
            batch: the batch.
            batch_idx: its number in the epoch.
            found: what is not finite.
        """
        path = self.save_batch(batch)
        rates = [group["lr"] for optimizer in self.trainer.optimizers for group in optimizer.param_groups]
        rate = f"{max(rates):.3g}" if rates else "unknown"
        msg = (
            f"step {self.global_step}, batch {batch_idx} of epoch {self.current_epoch}: {found}; learning rate {rate}; "
            f"the batch is saved in {path}: look at its images and boxes, else lower the learning rate or train in "
            "float32"
        )
        return NonFiniteError(msg)

    def save_batch(self, batch: Batch) -> Path:
        """Save a batch that could not be computed with, for ``torch.load``, and return where."""
        # A rank may be alone here, and trainer.log_dir asks all of them.
        folder = self.trainer.log_dir if self.trainer.world_size == 1 else None
        name = f"non_finite_step{self.global_step}_rank{self.global_rank}.pt"
        path = Path(folder or self.trainer.default_root_dir) / name
        values = {key: value.cpu() if isinstance(value, torch.Tensor) else value for key, value in batch.items()}
        with written_whole(path) as temporary:
            torch.save(values, temporary)
        return path

    def validation_step(  # type: ignore[override]  # the type that the callbacks take, instead of a mapping
        self, batch: Batch, batch_idx: int
    ) -> ValidationOutput:
        """Detect in the batch once, for all metrics."""
        detections = [
            Detections(letterbox.to_image(found.boxes), found.scores, found.labels, found.embeddings)
            for letterbox, found in zip(batch["letterboxes"], self(batch["images"]), strict=True)
        ]
        return ValidationOutput(frames=batch["frames"], detections=detections)

    def test_step(self, batch: Batch, batch_idx: int) -> ValidationOutput:  # type: ignore[override]
        """As :meth:`validation_step`."""
        return self.validation_step(batch, batch_idx)

    def on_predict_start(self) -> None:
        """Compile the network, with its weights of now."""
        if self._compile_mode != "none":
            network = self.network.fused()
            maps = CompiledForward(network, network.computes_late(self.embeddings), self._compile_mode)
            self._compiled = network, maps

    def on_predict_end(self) -> None:
        """Forget the compiled network: weights may change."""
        self._compiled = None

    def predict_step(self, batch: Batch, batch_idx: int) -> ValidationOutput:
        """As :meth:`validation_step`."""
        return self.validation_step(batch, batch_idx)

    def train(self, mode: bool = True) -> JDEModule:
        """Switch to training, except for what must not move: frozen layers, and statistics under ``norm_eval``."""
        super().train(mode)
        if self.norm_eval:
            reid_branch = set(self.network.model[-1].cv4.modules())
            for layer in self.network.modules():
                if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer not in reid_branch:
                    layer.eval()
        for part in self._frozen:
            part.eval()
        return self

    def freeze(self, layers: int, branches: Sequence[str] = ()) -> bool:  # type: ignore[override]
        """Stop training parts of the network, beside those that never train, until the next call says otherwise.

        Args:
            layers: number of layers, from the input.
            branches: branches of the head: ``box``, ``class``, ``reid``.

        Returns:
            Whether other parameters train now than before.

        Raises:
            InputError: if the network has no such layers or branches, or nothing is left to train.
        """
        frozen = self._never_trained + self._parts(layers, branches)
        kept = {id(parameter) for part in frozen for parameter in part.parameters()}
        parameters = dict(self.named_parameters())
        trained = {name: id(parameters[name]) not in kept for name in self._trainable}
        if not any(trained.values()):
            msg = "it leaves nothing to train: freeze fewer layers or branches"
            raise UsageError(msg)
        changed = False
        for name, trains in trained.items():
            if parameters[name].requires_grad != trains:
                parameters[name].requires_grad_(trains)
                parameters[name].grad = None
                changed = True
        self._frozen = frozen
        self.train(self.training)
        return changed

    def configure_optimizers(self) -> Any:
        """Build the optimiser over the parameter groups of the paper and its schedule."""
        steps_per_epoch, epochs = self._training_length()
        optimizer = self._make_optimizer(steps_per_epoch * epochs)
        self._configured_decays = [group["weight_decay"] for group in optimizer.param_groups]
        scheduler = WarmupLinearScheduler(optimizer, self.schedule, steps_per_epoch, epochs)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is needed to use the checkpoint alone, as plain values that load with ``weights_only=True``."""
        checkpoint["jde_lightning"] = {
            "version": __version__,
            "scale": self.network.scale,
            "embed_dim": self.network.embed_dim,
            "reid_branch": self.network.reid_branch,
            "reid_fusion": self.network.reid_fusion,
            "embedding_pooling": self.network.embedding_pooling,
            "class_names": self.class_names,
            "image_size": self.image_size,
        }
        hyper_parameters = checkpoint.get("hyper_parameters", {})
        # An object passed from Python cannot be rebuilt from a file that may hold no code; the defaults then apply.
        for name in [name for name, value in hyper_parameters.items() if not _is_plain(value)]:
            del hyper_parameters[name]

    def _prepare(self, images: torch.Tensor) -> torch.Tensor:
        """Bring images to float in 0..1 and to the network's memory format."""
        if images.dtype == torch.uint8:
            images = images.to(torch.float32).div_(255)
        return images.contiguous(memory_format=torch.channels_last if self.channels_last else torch.contiguous_format)

    def _parts(self, num_layers: int, branch_names: Sequence[str]) -> list[nn.Module]:
        """The first layers of the network, and branches of its head."""
        layers, head = list(self.network.model), self.network.model[-1]
        branches = {"box": head.cv2, "class": head.cv3, "reid": head.cv4}
        unknown = [name for name in branch_names if name not in branches]
        if unknown or not 0 <= num_layers < len(layers):
            msg = (
                f"frozen_layers is {num_layers} and frozen_branches {list(branch_names)}; expected 0 to "
                f"{len(layers) - 1} layers and some of {', '.join(branches)}"
            )
            raise UsageError(msg)
        return layers[:num_layers] + [branches[name] for name in branch_names]

    def _training_length(self) -> tuple[int, int]:
        """Optimiser steps in an epoch, and epochs."""
        total = self.trainer.estimated_stepping_batches
        epochs = self.trainer.max_epochs or 1
        if epochs < 0 or total == float("inf"):
            msg = "the learning rate decays to the last epoch: set trainer.max_epochs (or trainer.max_steps)"
            raise UsageError(msg)
        return max(int(total) // epochs, 1), epochs

    def _make_optimizer(self, iterations: int) -> torch.optim.Optimizer:
        """Build the chosen optimiser, or the one that the paper's rule gives for so many iterations."""
        groups = self.parameter_groups()
        if self._optimizer_factory.value is not None:
            optimizer = self._optimizer_factory.value(groups)
        else:
            optimizer = default_optimizer(groups, iterations, len(self.class_names))
        for group in optimizer.param_groups:
            group["lr"] *= group["lr_factor"]
        return optimizer

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Trainable parameters as :func:`jde_lightning.optimization.parameter_groups` sorts them."""
        return parameter_groups(self.network, self.loss, self.weight_decay, self.reid_lr_factor)


class _SharedByCopies:
    """Holds a value that deep copies of the module, such as the average of its weights, share instead of copying.

    The optimiser's factory that the command line makes refers to its parser, and so to everything that was built; in
    the first process of DDP some of that cannot be copied.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def __deepcopy__(self, memo: dict[int, Any]) -> _SharedByCopies:
        return self


def _make_weighting(name: str) -> FixedWeights | UncertaintyWeights:
    """Build the weighting of the two losses that a configuration names."""
    weightings = {"fixed": FixedWeights, "uncertainty": UncertaintyWeights}
    if name not in weightings:
        msg = f"unknown loss_weighting {name!r}; choose one of {', '.join(weightings)}"
        raise UsageError(msg)
    return weightings[name]()


def _is_plain(value: Any) -> bool:
    """Whether a value consists of numbers, strings, lists and dicts only."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str)
