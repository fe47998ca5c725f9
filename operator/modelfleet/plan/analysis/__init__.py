"""Whether a new revision is worse than the stable one at the same time. See docs/analysis.md."""
