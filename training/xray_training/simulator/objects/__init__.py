"""What bags hold, by kind."""
