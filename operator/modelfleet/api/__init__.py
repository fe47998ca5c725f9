"""What users write and read: kinds, conditions and labels, and the CRDs made from them."""
