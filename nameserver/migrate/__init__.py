"""Moving a zone between providers: what is measured on live servers, and what follows from it.

Each verb is one file with two halves: `measure` asks (asynchronous, bounded, in parallel) and returns plain values, and
`judge` makes a `Report` of these values and the time, without any I/O.
"""
