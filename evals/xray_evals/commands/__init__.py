"""The commands of ``xray-eval``."""
