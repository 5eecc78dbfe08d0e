"""Threat image projection: putting a threat into a real scan as the scanner would have shown it.

Everything happens in attenuation space. A scan's colours are read back as transmissions through a palette fitted to
that scan; the threat's transmissions are multiplied in, with the quantum noise that its attenuation adds; and what the
palette says has changed is applied to the real pixels, so that everything around the threat stays as it was.
"""

from xray_training.projection.insert import Projected, project
from xray_training.projection.reading import Reading, read_scan
from xray_training.projection.threat import Threat, cut_out, simulated_threat

__all__ = ["Projected", "Reading", "Threat", "cut_out", "project", "read_scan", "simulated_threat"]
