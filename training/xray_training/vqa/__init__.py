"""Question-answer pairs from annotated scans, each checked against the annotations."""
