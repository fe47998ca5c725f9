"""Model-server I/O: what engines answer, fetched. Nothing is decided here."""
