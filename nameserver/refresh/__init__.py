"""When to do what for one zone: the refresh machine and its timers. Time is an argument."""
