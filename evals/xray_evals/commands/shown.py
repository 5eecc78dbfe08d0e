"""Results at the shell."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from xray_evals.results import Results
from xray_evals.variants import VariantScore


def show(results: Results) -> None:
    """Print the tables that say most."""
    console = Console()
    console.print(_goals(results))
    console.print(_boxes(results))
    if results.found.images:
        console.print(_images(results))
    console.print(_calibration(results))
    if results.changes:
        changes = Table("change", "mean mAP50")
        for change in results.changes:
            changes.add_row(change.change, f"{change.mean_map50:.3f}")
        console.print(changes)
    if results.ablations or results.beside:
        console.print(_variants([results.whole, *results.ablations, *results.beside]))


def _goals(results: Results) -> Table:
    table = Table("goal", "at", "measured", "missing")
    for goal in results.goals:
        if goal.measured is not None and goal.distance is not None:
            missing = "met" if goal.met else f"{goal.distance:.3f}"
            table.add_row(goal.what, f"{goal.sense} {goal.goal:.3f}", f"{goal.measured:.3f}", missing)
    return table


def _boxes(results: Results) -> Table:
    found = results.found
    table = Table("source", "scans", "mAP50", "mAP50-95", "known classes")
    for score in found.sources:
        figures = (score.map50, score.map50_95, score.map50_known)
        table.add_row(score.source, str(score.scans), *[f"{figure:.3f}" for figure in figures])
    table.add_row("mean", "", f"{found.mean_map50:.3f}", "", "")
    if found.simulated is not None:
        for name, value in (("threats", found.simulated.threats_map50), ("everyday", found.simulated.everyday_map50)):
            table.add_row(f"simulated, {name}", str(found.simulated.boxes.scans), f"{value:.3f}", "", "")
    return table


def _images(results: Results) -> Table:
    table = Table("source", "threat scans", "AUC", "TPR at FPR 1 %", "at 10 %", "TPR, operating", "FPR, operating")
    for image in results.found.images:
        figures = (image.auc, image.at_rate[0.01], image.at_rate[0.1], image.operating.tpr, image.operating.fpr)
        table.add_row(image.source, str(image.positives), *[f"{figure[0]:.3f}" for figure in figures])
    return table


def _calibration(results: Results) -> Table:
    table = Table("source", "detections", "ECE", "Brier", "ECE of the alarms")
    for score in results.found.calibration:
        figures = (score.ece, score.brier, score.alarms_ece)
        table.add_row(score.source, str(score.detections), *[f"{figure:.3f}" for figure in figures])
    return table


def _variants(scores: list[VariantScore]) -> Table:
    table = Table("model", "mean mAP50", "simulated threats", "ms")
    for score in scores:
        simulated = "" if score.simulated_map50 is None else f"{score.simulated_map50:.3f}"
        table.add_row(score.name, f"{score.mean_map50:.3f}", simulated, f"{score.median_ms:.0f}")
    return table
