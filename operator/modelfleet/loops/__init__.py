"""What runs on a clock: the work queue, the leader election."""
