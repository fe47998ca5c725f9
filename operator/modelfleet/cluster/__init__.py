"""Kubernetes I/O: turns the API server into values, and plans into writes. Decides nothing."""
