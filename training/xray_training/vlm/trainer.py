"""transformers' Trainer, fed with packed questions about pictures, between two gates."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.integrations import TensorBoardCallback
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils.logging import disable_progress_bar

from xray_training.vlm.cells import labels_of
from xray_training.vlm.collate import Collator
from xray_training.vlm.config import CONFIG_FILE, VariationSettings, VlmConfig, load_config, save_config
from xray_training.vlm.dataset import PairSet, Plan
from xray_training.vlm.faults import RunConflict
from xray_training.vlm.gates import (
    Asked,
    Asker,
    checks_after,
    checks_before,
    conclude,
    presence_questions,
    without_adapter,
)
from xray_training.vlm.guidance import Guide
from xray_training.vlm.lessons import Lessons
from xray_training.vlm.loss import tell
from xray_training.vlm.models import (
    Speaker,
    computes_in_bf16,
    computing_device,
    frame_of,
    load_model,
    load_processor,
    save_frame,
    with_adapter,
    with_quick_patches,
)
from xray_training.vlm.nano import make_model, make_processor
from xray_training.vlm.shown import Shown, read_shown

CHECKPOINTS = "checkpoints"
PROCESSOR = "processor"
TENSORBOARD = "tensorboard"
_UNTRAINED = "untrained.json"
_CLOCK = "clock.json"
_LESSONS = "lessons.pt"
_ENDLESS = 10_000
_LOGGED = 20
_FIXED = (
    "pairs",
    "base",
    "architecture",
    "method",
    "lora",
    "frame",
    "pack",
    "brief",
    "kinds",
    "cells",
    "guidance",
    "seed",
)
"""Settings that a run which goes on must keep."""


class Course:
    """How far a run has come, by its steps or by the clock, and the learning rate there.

    Args:
        config: its settings.
    """

    def __init__(self, config: VlmConfig) -> None:
        self.config = config
        self.steps = 1
        self.spent = 0.0
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time spent on training, over all starts of the run."""
        return self.spent + time.monotonic() - self.started

    def start(self, spent: float) -> None:
        """The run goes on after that many seconds."""
        self.spent, self.started = spent, time.monotonic()

    def share(self, step: int) -> float:
        """Share of the run that is done, 0..1."""
        if self.config.hours is not None:
            return min(1.0, self.seconds / (self.config.hours * 3600))
        return min(1.0, step / self.steps)

    def rate(self, step: int) -> float:
        """Factor on the learning rate: a linear rise, then half a cosine down."""
        share, warmup, least = self.share(step), self.config.warmup, self.config.final_learning_rate
        if share < warmup:
            return max(1e-3, share / warmup)
        return least + (1 - least) * (1 + math.cos(math.pi * (share - warmup) / (1 - warmup))) / 2


class AnswerTrainer(Trainer):  # type: ignore[misc]
    """Trains on answers, and on what lies in the cells where that is taught; see :mod:`xray_training.vlm.lessons`."""

    config: VlmConfig
    course: Course
    lessons: Lessons | None
    lr_scheduler: Any

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Mean loss of a batch."""
        lessons = self.lessons if model.training else None
        with self.accelerator.autocast():
            if lessons is not None and self.course.share(self.state.global_step) < self.config.cells.alone:
                seen = self.model.get_image_features(
                    inputs["pixel_values"], inputs["image_grid_thw"], return_dict=True
                ).pooler_output
                return lessons.loss(seen, inputs)
            told = tell(model, inputs)
            loss = told.mean
            if lessons is not None:
                loss = loss + lessons.loss(told.outputs.image_outputs.pooler_output, inputs)
        return (loss, {"loss": loss}) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the lessons' last losses to the figures of training."""
        super().log({**logs, **(self.lessons.told if self.lessons is not None and "loss" in logs else {})}, start_time)

    def create_optimizer(self, model: Any = None) -> Optimizer:
        """AdamW over the model, and over the layers that read cells."""
        fresh = self.optimizer is None
        optimizer: Optimizer = super().create_optimizer(model)
        if fresh and self.lessons is not None:
            optimizer.add_param_group({"params": list(self.lessons.parameters()), "weight_decay": 0.0})
        return optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> Any:
        """The course's learning rate."""
        self.course.steps = num_training_steps
        if self.lr_scheduler is None:
            course = self.course
            # A function of its own: the scheduler would save and restore the attributes of a method.
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, lambda step: course.rate(step))
        return self.lr_scheduler

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            (folder / _CLOCK).write_text(json.dumps({"seconds": self.course.seconds}), encoding="utf-8")
            if self.lessons is not None:
                torch.save(self.lessons.state_dict(), folder / _LESSONS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        folder = Path(resume_from_checkpoint)
        if self.config.method == "full":
            self._load_whole(folder)
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        self.course.start(json.loads((folder / _CLOCK).read_text(encoding="utf-8"))["seconds"])
        if self.lessons is not None:
            self.lessons.load_state_dict(torch.load(folder / _LESSONS, weights_only=True))

    def _load_best_model(self) -> None:
        if self.config.method == "full":
            self._load_whole(Path(str(self.state.best_model_checkpoint)))
        else:
            super()._load_best_model()

    def _load_whole(self, folder: Path) -> None:
        """Put a checkpoint's weights into the model.

        A Qwen2.5-VL is saved under the names of its first release, which the Trainer does not turn back: it would go on
        with the weights it has. Loading the model as any other model translates them.
        """
        saved = load_model(str(folder), dtype=torch.float32, device="cpu")
        self.model.load_state_dict(saved.state_dict())


class EndOfRun(TrainerCallback):  # type: ignore[misc]
    """Stops when the time is up; the last step is looked at and saved whatever its number."""

    def __init__(self, course: Course) -> None:
        self.course = course

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Decide whether this was the last step."""
        if self.course.config.hours is not None and self.course.share(state.global_step) >= 1:
            control.should_training_stop = True
        if control.should_training_stop or state.global_step >= state.max_steps:
            control.should_evaluate = control.should_save = control.should_log = True


class Telling(TrainerCallback):  # type: ignore[misc]
    """Tells of losses as they come."""

    def __init__(self, echo: Callable[[str], object]) -> None:
        self.echo = echo

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """One line of figures."""
        if state.is_world_process_zero and logs:
            figures = "  ".join(f"{name} {value:.4g}" for name, value in logs.items() if isinstance(value, float))
            self.echo(f"step {state.global_step}  {figures}")


def train(
    config: VlmConfig, out: Path, *, resume: bool = False, echo: Callable[[str], object] = lambda line: None
) -> Path:
    """Fine-tune, or train from nothing, between the gates; returns the folder of the adapter or model.

    Args:
        config: the settings; written to ``out/config.yaml``.
        out: folder of the run: checkpoints, TensorBoard's figures and ``gates.json`` lie there too.
        resume: go on from the last checkpoint.
        echo: is told of the progress, a line at a time.

    Raises:
        GateFailed: a proof that the picture matters has failed; the checkpoints stay, and no model is written.
        RunConflict: the folder holds a run already, or another one, or none to go on with.
        VlmError: pairs, pictures or the base are missing, or the method does not work here.
        DatasetError: the pairs cannot be read.
    """
    disable_progress_bar()
    final = out / ("model" if config.method == "full" else "adapter")
    arguments = _arguments(config, out)
    if arguments.process_index == 0:
        _check_folder(config, out, final, resume)
    shown = read_shown(config.pairs)
    if config.threads:
        torch.set_num_threads(config.threads)
    asked = presence_questions(shown["val"], config.gate, config.seed)
    speaker = _start(config, out, str(arguments.device), shown["train"], resume)
    if arguments.process_index == 0:
        save_config(config, out)
        speaker.processor.save_pretrained(out / PROCESSOR)
    trainer = _trainer(config, speaker, shown, arguments, out, echo)
    asker = Asker(trainer.data_collator, speaker.frame, bf16=arguments.bf16)
    untrained = _pass_before(trainer, speaker, asker, asked, out, resume)
    checkpoints = out / CHECKPOINTS
    trainer.course.start(0.0)
    trainer.train(
        resume_from_checkpoint=get_last_checkpoint(str(checkpoints)) if resume and checkpoints.is_dir() else None
    )
    _pass_after(trainer, asker, asked, shown["train"], untrained, out)
    if arguments.process_index == 0:
        speaker.model.save_pretrained(final)
        speaker.processor.save_pretrained(final)
        save_frame(speaker.frame, final)
    return final


def _check_folder(config: VlmConfig, out: Path, final: Path, resume: bool) -> None:
    """A run's folder holds one run.

    Raises:
        RunConflict: it holds another, or none that could go on.
    """
    saved = out / CONFIG_FILE
    if final.exists():
        raise RunConflict(f"the run in {out} is finished: choose another folder")
    if not resume:
        if saved.exists():
            raise RunConflict(f"{out} holds a run already: go on with it (--resume), or choose another folder")
        return
    if not saved.is_file():
        raise RunConflict(f"{out} holds no run to go on with: leave --resume out to start")
    before = load_config(saved, {})
    changed = [name for name in _FIXED if getattr(before, name) != getattr(config, name)]
    if changed:
        raise RunConflict(
            f"{', '.join(changed)} differ from those of the run in {out}: resume with the settings of its "
            f"{CONFIG_FILE}, or start another run"
        )


def _start(config: VlmConfig, out: Path, device: str, training: Sequence[Shown], resume: bool) -> Speaker:
    """The model to train, with its adapter, where there is one."""
    if config.architecture is not None:
        if resume:
            processor = load_processor(str(out / PROCESSOR), config.frame)
        else:
            texts = [text for picture in training for pair in picture.pairs for text in (pair.question, pair.answer)]
            processor = make_processor(config.architecture, config.frame, texts)
        model = with_quick_patches(make_model(config.architecture, processor, config.seed).to(device))
        return Speaker(model, processor, frame_of(processor, config.frame))
    base = str(config.base)
    four_bits = config.method == "qlora"
    # Frozen weights may be halves; weights that are trained may not: small steps would be rounded away.
    halves = config.method != "full" and device.startswith("cuda") and computes_in_bf16(device, config.precision)
    model = load_model(base, dtype=torch.bfloat16 if halves else torch.float32, device=device, four_bits=four_bits)
    model = with_quick_patches(model)
    processor = load_processor(base, config.frame)
    if config.method != "full":
        model = with_adapter(model, config.lora, four_bits=four_bits, checkpointing=config.checkpointing)
    return Speaker(model, processor, frame_of(processor, config.frame))


def _arguments(config: VlmConfig, out: Path) -> TrainingArguments:
    device = computing_device(config.device)
    length: dict[str, Any] = {"num_train_epochs": config.epochs}
    saving = {"activation_checkpointing": True, "activation_checkpointing_kwargs": {"use_reentrant": False}}
    if config.hours is not None:
        length = {"num_train_epochs": _ENDLESS}
    elif config.steps is not None:
        length = {"max_steps": config.steps}
    return TrainingArguments(
        output_dir=str(out / CHECKPOINTS),
        per_device_train_batch_size=config.batch,
        per_device_eval_batch_size=config.batch,
        gradient_accumulation_steps=config.accumulate,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        adam_beta2=config.beta2,
        eval_strategy="steps",
        eval_steps=config.evaluate_every,
        save_strategy="steps",
        save_steps=config.evaluate_every,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        prediction_loss_only=True,
        logging_steps=min(_LOGGED, config.evaluate_every),
        report_to=[],
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_num_workers=config.workers,
        dataloader_pin_memory=device == "cuda",
        bf16=computes_in_bf16(device, config.precision),
        use_cpu=device == "cpu",
        seed=config.seed,
        data_seed=config.seed,
        disable_tqdm=True,
        **length,
        **(saving if config.checkpointing else {}),
    )


def _trainer(
    config: VlmConfig,
    speaker: Speaker,
    shown: dict[Any, list[Shown]],
    arguments: TrainingArguments,
    out: Path,
    echo: Callable[[str], object],
) -> AnswerTrainer:
    labels = labels_of(pair for picture in shown["train"] for pair in picture.pairs) if config.cells.weight else ()
    taught = bool(labels or config.guidance.detectors)
    if taught and arguments.world_size > 1:
        raise RunConflict(
            "lessons are given in one process: use --set cells.weight=0 --set 'guidance.detectors=[]' on several devices"
        )
    guide = Guide(config.guidance.detectors, str(arguments.device)) if config.guidance.detectors else None
    plan = Plan(
        pack=config.pack,
        kinds=tuple(config.kinds.items()),
        brief=config.brief,
        variation=config.variation,
        labels=labels,
        guided=guide is not None,
        seed=config.seed,
        remembered=config.remembered * 2**20,
    )
    held_out = _some(shown["val"], config.validation_pictures, config.seed)
    plain = replace(plan, variation=VariationSettings(), labels=(), guided=False)
    course = Course(config)
    callbacks = [EndOfRun(course), Telling(echo), TensorBoardCallback(_writer(arguments, out))]
    if config.patience:
        callbacks.append(EarlyStoppingCallback(config.patience))
    trainer = AnswerTrainer(
        model=speaker.model,
        args=arguments,
        data_collator=Collator(speaker.processor, per_answer=config.per_answer),
        train_dataset=PairSet(shown["train"], speaker.frame, plan),
        eval_dataset=PairSet(held_out, speaker.frame, plain),
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.config, trainer.course = config, course
    width = speaker.model.config.vision_config.out_hidden_size
    trainer.lessons = Lessons(config, width, len(labels), guide).to(arguments.device) if taught else None
    return trainer


def _writer(arguments: TrainingArguments, out: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(out / TENSORBOARD)) if arguments.process_index == 0 else None


def _some(shown: Sequence[Shown], most: int, seed: int) -> list[Shown]:
    if len(shown) <= most:
        return list(shown)
    chosen = np.random.default_rng([seed, 11]).permutation(len(shown))[:most]
    return [shown[index] for index in sorted(chosen.tolist())]


def _pass_before(
    trainer: AnswerTrainer, speaker: Speaker, asker: Asker, asked: Sequence[Asked], out: Path, resume: bool
) -> list[float] | None:
    """The gate before training; returns the untrained model's log-odds where no adapter can be switched off.

    Raises:
        GateFailed: the model would not be shown the pictures.
    """
    checks = checks_before(
        speaker.model, trainer.data_collator, trainer.train_dataset, speaker.processor, trainer.config.gate
    )
    conclude(checks, out, "before", write=trainer.args.process_index == 0)
    if trainer.config.method != "full":
        return None
    known = out / _UNTRAINED
    if resume and known.is_file():
        untrained: list[float] = json.loads(known.read_text(encoding="utf-8"))
        return untrained
    untrained = asker.own(speaker.model, asked)
    if trainer.args.process_index == 0:
        known.write_text(json.dumps(untrained), encoding="utf-8")
    return untrained


def _pass_after(
    trainer: AnswerTrainer,
    asker: Asker,
    asked: Sequence[Asked],
    training: Sequence[Shown],
    untrained: list[float] | None,
    out: Path,
) -> None:
    """The gate after training.

    Raises:
        GateFailed: the model does not answer from the picture.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    if untrained is None:
        with without_adapter(model) as base:
            untrained = asker.own(base, asked)
    checks = checks_after(model, asker, asked, training, untrained, trainer.config.gate)
    conclude(checks, out, "after", write=trainer.args.process_index == 0)
