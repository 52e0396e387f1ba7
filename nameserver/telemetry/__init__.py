"""Events to log lines and metrics, in one place."""
