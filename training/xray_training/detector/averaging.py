"""Averages of two checkpoints of one architecture: what was learned last, and what was known before."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class UnlikeNetworks(RuntimeError):
    """Two checkpoints have no common architecture."""


def average(first: Path, second: Path, out: Path, *, share: float) -> None:
    """Mix the weights of a network and of the one that it was fine-tuned to.

    Between a network and its fine-tuned self lie networks that are better than either, on old data and new (Wortsman et
    al., Robust fine-tuning of zero-shot models, 2022). The classes are the second one's, matched by name; a class that
    the first does not know keeps the second's weights.

    Args:
        first: checkpoint of the network before.
        second: checkpoint of the network after.
        out: where to write.
        share: how much of the second, 0..1.

    Raises:
        UnlikeNetworks: a layer of one has no counterpart in the other.
    """
    import torch
    from ultralytics.nn.tasks import load_checkpoint

    (before, _), (after, _) = (load_checkpoint(str(path)) for path in (first, second))
    known = {name: index for index, name in before.names.items()}
    rows = [(index, known[name]) for index, name in after.names.items() if name in known]
    old, mixed = before.float().state_dict(), after.float().state_dict()
    if old.keys() != mixed.keys():
        raise UnlikeNetworks(f"{first.name} and {second.name} differ in {len(old.keys() ^ mixed.keys())} layers")
    for name, weights in mixed.items():
        mixed[name] = _mixed(name, old[name], weights, rows, share)
    after.load_state_dict(mixed)
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": after.half(), "train_args": {}}, out)


def _mixed(name: str, old: Any, new: Any, rows: list[tuple[int, int]], share: float) -> Any:
    """One layer; ``rows`` pairs the classes' places, for the layers whose outputs are classes."""
    if not new.dtype.is_floating_point:
        return new
    if old.shape == new.shape:
        return share * new + (1 - share) * old
    if old.shape[1:] != new.shape[1:]:
        raise UnlikeNetworks(f"{name} has the shape {tuple(old.shape)} in one and {tuple(new.shape)} in the other")
    result = new.clone()
    for place, former in rows:
        result[place] = share * new[place] + (1 - share) * old[former]
    return result
