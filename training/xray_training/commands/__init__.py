"""The commands of xray-train, one module a kind of work."""
