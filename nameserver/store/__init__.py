"""Zone versions and timers on disk: SQLite in WAL mode, plain blocking code."""
