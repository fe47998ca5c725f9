"""kopf: subscriptions to our kinds. Each handler wakes a key, and the loop looks at the world."""
