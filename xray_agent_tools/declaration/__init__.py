"""Declarations: matching words with items, and deciding by policy."""
