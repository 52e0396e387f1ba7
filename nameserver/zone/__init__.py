"""What a zone is: packed nodes, how records become them, what may be in them, and what they answer."""
