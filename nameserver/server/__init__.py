"""Sockets, processes and tasks: the only place that knows an event loop."""
