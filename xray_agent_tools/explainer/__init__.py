"""Explainers: from a report to words that cite it."""
