"""Materials and how strongly they attenuate at the six energies of the quadrature.

Mass attenuation coefficients are xraydb (Elam) values; the energies and weights are a six-point
quadrature of a 160 kVp spectrum (3 mm Al) seen by a Gd2O2S low-energy detector and, behind 0.6 mm Cu,
a CsI high-energy one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ENERGIES_KEV = (32.1, 46.7, 58.9, 74.1, 97.0, 126.5)
WEIGHTS_LOW = np.array([0.1538, 0.1242, 0.3690, 0.2036, 0.1013, 0.0480])
WEIGHTS_HIGH = np.array([0.0038, 0.0391, 0.1169, 0.2178, 0.3137, 0.3088])

REFERENCE_ENERGY = 3
"""The energy (74 keV) at which objects are compared: near the mean of what both detectors see."""

_CELLULOSE = (0.2976, 0.2173, 0.1938, 0.1780, 0.1636, 0.1511)

_DENSITY_AND_COEFFICIENTS: dict[str, tuple[float, tuple[float, ...]]] = {
    # name: density g/cm3 as packed, mass attenuation cm2/g at ENERGIES_KEV
    "polyethylene": (0.95, (0.2578, 0.2134, 0.1980, 0.1860, 0.1733, 0.1612)),
    "foam": (0.06, (0.2578, 0.2134, 0.1980, 0.1860, 0.1733, 0.1612)),
    "abs": (1.05, (0.2503, 0.2037, 0.1880, 0.1761, 0.1638, 0.1522)),
    "water": (1.00, (0.3425, 0.2372, 0.2077, 0.1887, 0.1724, 0.1587)),
    "ethanol": (0.79, (0.2909, 0.2227, 0.2018, 0.1871, 0.1729, 0.1602)),
    "butane": (0.58, (0.2578, 0.2134, 0.1980, 0.1860, 0.1733, 0.1612)),
    "cloth": (0.25, _CELLULOSE),
    "wood": (0.60, _CELLULOSE),
    "paper": (0.80, _CELLULOSE),
    "leather": (0.90, (0.3070, 0.2216, 0.1968, 0.1804, 0.1656, 0.1529)),
    "rubber": (1.10, (0.2549, 0.2097, 0.1942, 0.1822, 0.1697, 0.1578)),
    "pvc": (1.38, (1.2543, 0.5212, 0.3422, 0.2499, 0.1931, 0.1622)),
    "rdx": (1.60, (0.3032, 0.2152, 0.1901, 0.1736, 0.1590, 0.1466)),
    "tnt": (1.60, (0.2937, 0.2116, 0.1878, 0.1721, 0.1579, 0.1457)),
    "ammonium_nitrate": (0.85, (0.3213, 0.2236, 0.1961, 0.1784, 0.1629, 0.1501)),
    "graphite": (2.20, (0.2415, 0.1924, 0.1764, 0.1645, 0.1526, 0.1416)),
    "glass": (2.50, (0.9026, 0.4046, 0.2820, 0.2176, 0.1765, 0.1525)),
    "ceramic": (3.90, (0.6649, 0.3257, 0.2415, 0.1962, 0.1658, 0.1467)),
    "silicon": (2.33, (1.2062, 0.5009, 0.3299, 0.2420, 0.1878, 0.1580)),
    "circuit_board": (1.85, (0.7078, 0.3456, 0.2550, 0.2062, 0.1736, 0.1533)),
    "aluminium": (2.70, (0.9530, 0.4158, 0.2850, 0.2168, 0.1739, 0.1493)),
    "lithium_cell": (2.50, (2.8334, 1.0602, 0.6151, 0.3868, 0.2525, 0.1867)),
    "titanium": (4.51, (4.1150, 1.4514, 0.8011, 0.4740, 0.2857, 0.1971)),
    "steel": (7.87, (6.7732, 2.3566, 1.2640, 0.7113, 0.3945, 0.2480)),
    "brass": (8.50, (9.3958, 3.2728, 1.7360, 0.9538, 0.5047, 0.2979)),
    "copper": (8.96, (9.0519, 3.1521, 1.6729, 0.9211, 0.4895, 0.2907)),
    "tin": (7.31, (35.38, 12.80, 6.90, 3.7185, 1.8163, 0.9192)),
    "lead": (11.35, (25.4919, 9.5855, 5.2625, 2.9299, 5.9948, 3.0749)),
}

MATERIALS = tuple(_DENSITY_AND_COEFFICIENTS)
"""Material names; a mesh names a material by its place here."""

INDEX = {name: number for number, name in enumerate(MATERIALS)}

ATTENUATION_PER_MM: NDArray[np.float64] = np.array(
    [[density * value / 10 for value in values] for density, values in _DENSITY_AND_COEFFICIENTS.values()]
)
"""Linear attenuation in 1/mm, shape (materials, energies)."""

GRAMS_PER_MM3 = {name: density / 1000 for name, (density, _) in _DENSITY_AND_COEFFICIENTS.items()}
"""Density as packed."""
