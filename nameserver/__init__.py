"""A pure-Python authoritative secondary nameserver."""

__version__ = "0.1.0"
