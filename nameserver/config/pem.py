"""A certificate and its key given to OpenSSL from memory, for which Python has no call: it wants names of files.

What was read and judged once is what is used, and a worker needs no rights to the files.
"""

import os
import ssl


def load_pair(context: ssl.SSLContext, chain: str, key: str) -> None:
    """Have `context` show this certificate. Raises ssl.SSLError for a pair that does not fit, OSError."""
    handle = os.memfd_create("nameserver-certificate")
    try:
        os.write(handle, f"{chain}\n{key}".encode())
        # An empty password: OpenSSL must not ask the terminal for one.
        context.load_cert_chain(f"/proc/self/fd/{handle}", password="")
    finally:
        os.close(handle)
