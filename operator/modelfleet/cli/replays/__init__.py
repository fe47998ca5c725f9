"""What `modelfleet simulate` reads, runs and shows."""
