"""The `nameserver` command: one file per verb."""
