"""What an answering process is made of: sockets, connections, the loop's turns, transfers out."""
