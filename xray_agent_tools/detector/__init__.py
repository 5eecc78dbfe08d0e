"""Detectors: from a view's pixels to calibrated boxes."""
