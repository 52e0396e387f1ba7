"""Bytes ↔ messages. Knows names, records, requests, replies and signatures; knows nothing of zones."""
