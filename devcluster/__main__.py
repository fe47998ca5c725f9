"""`python -m devcluster`."""

import sys

try:
    from devcluster.cli import main
except ModuleNotFoundError as missing:
    sys.exit(f"Python package {missing.name!r} is not installed: pip install -e . --group dev")

if __name__ == "__main__":
    main(prog_name="python -m devcluster")
