"""The transfer protocols as machines without I/O: AXFR and IXFR in, AXFR out, NOTIFY."""
