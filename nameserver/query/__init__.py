"""One request to one reply, or none: policy order, access lists, which zone answers."""
