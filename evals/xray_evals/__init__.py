"""How good the tools are, measured."""
