"""kopf: subscriptions to our kinds. Each handler passes an event on and wakes a key."""
