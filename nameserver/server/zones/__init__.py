"""What the transfer process does for its zones: checks, transfers in, publishing, NOTIFY out."""
