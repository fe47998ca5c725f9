"""HTTP as the engines speak it. `routes` is the table of what is answered where."""
