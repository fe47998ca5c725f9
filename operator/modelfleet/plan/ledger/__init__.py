"""What GPUs cost and who pays: exact integers, a pure fold, and books that always add up."""
