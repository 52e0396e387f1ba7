"""Putting questions to servers, finding them from the root down, having a zone of them as a stream."""
