"""The control socket: JSON lines between the daemon and the command line."""
