"""A move from its plan to its end: the state, the gates of its phases, the way back."""
