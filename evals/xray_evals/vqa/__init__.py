"""How well questions about scans are answered."""
