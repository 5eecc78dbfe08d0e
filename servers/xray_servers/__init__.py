"""Servers that publish the tools to agents."""
