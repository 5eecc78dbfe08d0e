"""Training a detector on partially annotated scans, and exporting it."""
