"""Ultralytics' trainer, fed with partially annotated scans and their masked loss."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from ultralytics.data.build import InfiniteDataLoader
from ultralytics.engine import trainer as engine
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.nn.tasks import load_checkpoint
from ultralytics.utils import RANK
from ultralytics.utils.torch_utils import strip_optimizer, unwrap_model

from xray_training.datasets.record import DatasetError
from xray_training.detector.config import CONFIG_FILE, TrainingConfig, load_config
from xray_training.detector.dataset import TrainingScans, ValidationScans, collate
from xray_training.detector.loss import AnnotatedDetectionLoss
from xray_training.detector.records import divided_records
from xray_training.detector.sampler import BalancedSampler
from xray_training.detector.simulated import Simulated

_DIVISION = (
    *("data", "names", "aliases", "broad", "unannotated", "stretch"),
    *("validation_share", "validation_shares", "seed"),
)
"""Settings on which it depends which scans are held out, and what of them is known."""


@contextmanager
def _bfloat16_on_cpu() -> Iterator[None]:
    """Let the trainer use bfloat16 on a CPU, which Ultralytics allows on CUDA only.

    Processors with AVX-512 BF16 train markedly faster in it.
    """

    def autocast(enabled: bool | torch.dtype, device: str = "cuda") -> torch.autocast:
        dtype = enabled if isinstance(enabled, torch.dtype) else None
        return torch.autocast(device, dtype=dtype, enabled=bool(enabled))

    original = engine.autocast
    engine.autocast = autocast
    try:
        yield
    finally:
        engine.autocast = original


class ScanTrainer(DetectionTrainer):  # type: ignore[misc]
    """Trains a YOLO on scans of several sources, each with its own set of annotated classes.

    The configuration travels as JSON in the place of Ultralytics' dataset file, so that the processes which Ultralytics
    starts for several GPUs find it too. Fitness is the masked loss on held-out training scans, negated: ranking by
    average precision over pooled sources would count unannotated objects as false alarms.
    """

    model: Any
    args: Any
    best_fitness: float | None
    sampler: BalancedSampler | None = None
    board: SummaryWriter | None = None

    @property
    def config(self) -> TrainingConfig:
        """The settings of the run."""
        return TrainingConfig.model_validate_json(self.args.data)

    def _do_train(self) -> None:
        with _bfloat16_on_cpu():
            super()._do_train()

    def _setup_train(self) -> None:
        super()._setup_train()
        if RANK in {-1, 0}:
            save_config(self.config, Path(self.save_dir))
            self.board = SummaryWriter(str(self.save_dir))

    def _model_train(self) -> None:
        super()._model_train()
        if self.sampler is not None:
            self.sampler.progress = min(1.0, self.epoch / max(1, self.epochs - 1))

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        """Write an epoch's figures to results.csv and for TensorBoard."""
        super().save_metrics(metrics)
        if self.board is not None:
            for name, value in metrics.items():
                self.board.add_scalar(name, float(value), self.epoch + 1)
            self.board.flush()

    def get_dataset(self) -> dict[str, Any]:
        """Records for training and validation, in place of a dataset file."""
        training, validation = divided_records(self.config)
        if not training or not validation:
            raise DatasetError(
                f"{len(training)} scans to train on and {len(validation)} held out: both parts need some"
            )
        names = dict(enumerate(self.config.names))
        return {"train": training, "val": validation, "names": names, "nc": len(names), "channels": 3}

    def get_dataloader(self, dataset_path: Any, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """A loader over records (``dataset_path`` holds them)."""
        config = self.config
        if mode == "train":
            scans = TrainingScans(
                dataset_path,
                config.names,
                size=config.size,
                augmentation=config.augmentation,
                masked=config.masked_loss,
                simulated=Simulated(config),
            )
            self.sampler = BalancedSampler(
                dataset_path,
                names=config.names,
                length=config.epoch_scans,
                balance=config.balance,
                emphasis=config.emphasis,
                rare_below=config.rare_below,
                fresh=config.fresh.share,
                parts=max(1, self.world_size),
            )
            return InfiniteDataLoader(
                scans, batch_size=batch_size, num_workers=config.workers, sampler=self.sampler, collate_fn=collate
            )
        # The class loss of a batch is divided by its share of objects: benign scans must not stand together.
        shuffled = random.Random(config.seed).sample(dataset_path, len(dataset_path))
        return InfiniteDataLoader(
            ValidationScans(shuffled, config.names, size=config.size), batch_size=batch_size, collate_fn=collate
        )

    def set_model_attributes(self) -> None:
        """Attach names, settings and the masked loss, and choose the memory layout of the device."""
        super().set_model_attributes()
        torch.set_num_threads(self.config.threads or os.cpu_count() or 1)
        model = unwrap_model(self.model)
        model.criterion = AnnotatedDetectionLoss(model, masked=self.config.masked_loss)
        self.model = self.model.to(memory_format=torch.channels_last)

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Move to the device, scale pixels to 0..1."""
        moved: dict[str, Any] = super().preprocess_batch(batch)
        moved["img"] = moved["img"].contiguous(memory_format=torch.channels_last)
        return moved

    def validate(self) -> tuple[dict[str, float], float]:
        """Masked loss of the averaged weights on the held-out scans."""
        model = self.ema.ema
        if getattr(model, "criterion", None) is None:
            model.criterion = AnnotatedDetectionLoss(model, masked=self.config.masked_loss)
        totals: dict[str, Tensor] = {}
        model.eval()
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            for batch in self.test_loader:
                moved = self.preprocess_batch(batch)
                _, parts = model.loss(moved, model(moved["img"]))
                for name, part in parts.items():
                    totals[name] = totals.get(name, torch.zeros(())) + part.cpu()
        metrics = {f"val/{name}": float(total) / len(self.test_loader) for name, total in totals.items()}
        fitness = -sum(metrics.values())
        if self.best_fitness is None or self.best_fitness < fitness:
            self.best_fitness = fitness
        return metrics, fitness

    def final_eval(self) -> None:
        """Strip optimiser state from the checkpoints."""
        for checkpoint in (self.last, self.best):
            if RANK in {-1, 0} and Path(checkpoint).exists():
                strip_optimizer(checkpoint)

    def plot_training_labels(self) -> None:
        """Nothing to plot: labels live in the records."""


class RunFinished(RuntimeError):
    """A run that is to go on has reached its end."""


class RunChanged(RuntimeError):
    """A run is to go on with settings that would hold out other scans."""


def _is_finished(checkpoint: Path) -> bool:
    """Whether a checkpoint's optimiser state has been stripped, which training does at its end."""
    _, state = load_checkpoint(str(checkpoint))
    return state.get("optimizer") is None


def save_config(config: TrainingConfig, out: Path) -> None:
    """Write the resolved settings to ``config.yaml`` in a run's folder."""
    out.mkdir(parents=True, exist_ok=True)
    resolved = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    (out / CONFIG_FILE).write_text(resolved, encoding="utf-8")


def train(config: TrainingConfig, out: Path, *, resume: bool = False) -> Path:
    """Train a detector; returns the checkpoint with the averaged weights of the last epoch.

    Args:
        config: the settings; written to ``out/config.yaml``.
        out: folder of the run; figures for TensorBoard lie there too.
        resume: go on from ``out/weights/last.pt``.

    Raises:
        RunFinished: there is nothing to go on with, or a run that would be overwritten.
        RunChanged: what is to go on would hold out other scans.
        DatasetError: the scans cannot be read, or one part of them is empty.
    """
    last = out / "weights" / "last.pt"
    if resume and _is_finished(last):
        raise RunFinished(f"the run in {out} is finished: there is nothing to go on with")
    if resume:
        _check_unchanged(config, out)
    elif last.exists():
        raise RunFinished(f"{out} holds a run already: go on with it (--resume), or choose another folder")
    save_config(config, out)
    ScanTrainer(overrides=_trainer_settings(config, out, last if resume else None)).train()
    return last


def _check_unchanged(config: TrainingConfig, out: Path) -> None:
    """A run that goes on must hold out the same scans: what decides on that may not change.

    Raises:
        RunChanged: it did.
    """
    saved = load_config(out / CONFIG_FILE, {})
    changed = [name for name in _DIVISION if getattr(saved, name) != getattr(config, name)]
    if changed:
        raise RunChanged(
            f"{', '.join(changed)} differ from those of the run in {out}, so other scans would be held out: "
            "resume with the settings of its config.yaml, or start another run"
        )


def _trainer_settings(config: TrainingConfig, out: Path, checkpoint: Path | None) -> dict[str, Any]:
    """What Ultralytics has to know."""
    return {
        "model": str(checkpoint or config.architecture),
        "resume": str(checkpoint) if checkpoint else False,
        "pretrained": str(config.weights) if config.weights and not checkpoint else False,
        "data": config.model_dump_json(),
        "imgsz": config.size,
        "epochs": config.epochs,
        "time": config.hours,
        "batch": config.batch,
        "nbs": config.batch,
        "optimizer": "AdamW",
        "lr0": config.learning_rate,
        "lrf": config.final_learning_rate,
        "cos_lr": True,
        "momentum": 0.9,
        "weight_decay": config.weight_decay,
        "warmup_epochs": config.warmup_epochs,
        "warmup_bias_lr": 0.0,
        "close_mosaic": config.plain_epochs,
        "amp": "bf16" if config.precision == "bf16" else False,
        "seed": config.seed,
        "deterministic": False,
        "device": config.device,
        "plots": False,
        "patience": config.patience,
        "project": str(out.parent.resolve()),
        "name": out.name,
        "exist_ok": True,
        "workers": config.workers,
    }
