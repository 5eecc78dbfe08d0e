"""Building the models: datasets, simulated scans, detector training and export."""
