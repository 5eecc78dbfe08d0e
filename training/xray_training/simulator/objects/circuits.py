"""Parts of electric devices."""

from __future__ import annotations

from xray_training.simulator.draw import Draw
from xray_training.simulator.objects.forms import (
    chips,
)
from xray_training.simulator.solids import Array, Solid, Vector


def board(draw: Draw, size: tuple[float, float], count: int, *, thickness: float = 1.0) -> Solid:
    """A circuit board with components, its lower face at z = 0."""
    board = Solid()
    board.box("circuit_board", (*size, thickness), (0, 0, thickness / 2))
    board.box("copper", (size[0] - 2, size[1] - 2, 0.1), (0, 0, thickness / 2))
    chips(draw, board, count, size, (0, 0, thickness))
    return board


def port(solid: Solid, size: Vector, at: Vector) -> None:
    """A metal shell with its tongue."""
    solid.box("steel", size, at)
    solid.box("steel", (size[0], size[1] - 0.8, size[2] - 0.8), at, hollow=True)
    solid.box("abs", (size[0] * 0.7, size[1] * 0.7, 0.7), at)


def pouches(solid: Solid, count: int, area: tuple[float, float], thickness: float, at: Vector) -> None:
    """Lithium pouch cells side by side along x, their lower faces at ``at``."""
    each = area[0] / count
    for number in range(count):
        x = at[0] - area[0] / 2 + (number + 0.5) * each
        solid.box("lithium_cell", (each - 2, area[1], thickness), (x, at[1], at[2] + thickness / 2))
        solid.box("copper", (4, 5, 0.1), (x - each / 4, at[1] + area[1] / 2 + 2, at[2] + thickness / 2))


def cell(diameter: float, length: float, *, cap: bool = True) -> Solid:
    """A round cell in a steel can, along x; the pin in its middle shows."""
    cell = Solid()
    radius, wall = diameter / 2, 0.3
    cell.lathe("steel", [(0, radius), (length, radius)], sides=12)
    cell.lathe("steel", [(wall, radius - wall), (length - 0.6, radius - wall)], sides=12, hollow=True)
    cell.lathe("lithium_cell", [(wall, radius - wall), (length - 3, radius - wall)], sides=12)
    cell.lathe("lithium_cell", [(wall + 1, radius * 0.16), (length - 3.5, radius * 0.16)], sides=6, hollow=True)
    if cap:
        cell.rod("steel", (length, 0, 0), (length + 1.2, 0, 0), radius * 0.38, sides=8)
        cell.rod("brass", (2, 0, 0), (length * 0.7, 0, 0), 0.7, sides=5)
    return cell


def motor(length: float, diameter: float) -> Solid:
    """A small electric motor along x."""
    motor = Solid()
    motor.rod("steel", (0, 0, 0), (length, 0, 0), diameter / 2, wall=1.4, sides=10)
    motor.rod("copper", (length * 0.25, 0, 0), (length * 0.75, 0, 0), diameter * 0.28, sides=8)
    motor.rod("steel", (-6, 0, 0), (0, 0, 0), 1.2, sides=6)
    return motor


def wire(draw: Draw, solid: Solid, path: Array, diameter: float) -> None:
    """An insulated wire along a path."""
    solid.tube("pvc", path, diameter / 2, sides=4)
    solid.tube("copper", path, diameter * draw.uniform(0.16, 0.24), sides=4)


def pins(body: Solid, at: Vector, style: str) -> None:
    """The pins of a mains plug that point along +x."""
    spread = {"round": 19.0, "flat": 12.7, "three": 22.0}[style]
    for side in (-1, 1):
        y = at[1] + side * spread / 2
        if style == "round":
            body.rod("brass", (at[0], y, at[2]), (at[0] + 19, y, at[2]), 2.1, sides=8)
        else:
            body.box("brass", (18, 1.6, 6.4), (at[0] + 9, y, at[2]))
    if style == "three":
        body.box("brass", (22, 4, 7), (at[0] + 11, at[1], at[2] + 8))
