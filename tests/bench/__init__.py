"""What modelfleet costs, measured on a devcluster: `python -m tests.bench`."""
