"""What is wrong with a dataset, found before it trains anything."""
