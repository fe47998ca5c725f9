"""The data path: holds requests for Models that sleep, and hands them over. Knows no Kubernetes."""
