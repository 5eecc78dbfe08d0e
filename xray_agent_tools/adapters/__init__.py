"""Tool schemas out, tool calls in, for the function-calling interfaces of language models."""
