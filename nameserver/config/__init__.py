"""TOML text to frozen values; every problem found at once."""
