"""What can be found out about a zone, its servers and its parent: a file for each thing that is asked."""
