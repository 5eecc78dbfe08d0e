"""The HTTP server: OpenAI-compatible chat, and plain REST."""
