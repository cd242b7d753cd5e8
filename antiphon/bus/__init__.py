"""Wake-ups between replicas."""
