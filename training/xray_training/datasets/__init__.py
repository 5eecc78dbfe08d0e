"""Readers of annotated scans, all giving the same record."""
