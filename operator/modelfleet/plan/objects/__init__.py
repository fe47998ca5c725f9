"""What a Model becomes: one builder for each kind of child, and only fields that we own."""
