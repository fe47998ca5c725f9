"""A Kubernetes operator that runs fleets of self-hosted model servers."""

__version__ = "0.1.0"
