"""The tools as plain HTTP: one route for each, with the tool's own arguments and its own answer."""
