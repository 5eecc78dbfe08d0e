"""The official MCP conformance suite and the MCP Inspector, run against our server."""
