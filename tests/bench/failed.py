"""What ends one measurement, and not the others."""


class Failed(Exception):
    """A server, or the load, did not do what is measured; says what."""
