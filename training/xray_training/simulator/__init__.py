"""Simulated baggage scans: Beer-Lambert attenuation at two energies, with exact truth."""
