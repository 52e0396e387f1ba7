"""`nameserver migrate VERB`: one file per verb, as for the commands above it."""

from nameserver.cli.main import Verb

VERBS = (
    Verb("compare", "nameserver.cli.migrate.compare", "the parity gate: do two servers hold the same zone?"),
    Verb("serials", "nameserver.cli.migrate.serials", "the SOA at every address of every nameserver, side by side"),
)
