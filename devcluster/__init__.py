"""A real Kubernetes control plane in one binary, with simulated GPU nodes and engines.

Everything runs in a network namespace of its own, so that clusters live side by side and
nothing reaches the machine's network. `python -m devcluster --help` lists the commands.
"""
