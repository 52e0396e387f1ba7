"""`nameserver migrate VERB`: one file per verb, as for the commands above it."""

from nameserver.cli.main import Verb

VERBS = (
    Verb("check", "nameserver.cli.migrate.check", "can the zone be had from a server, and if not, why"),
    Verb("compare", "nameserver.cli.migrate.compare", "the parity gate: do two servers hold the same zone?"),
    Verb("exposure", "nameserver.cli.migrate.exposure", "does any server hand out the zone without a key?"),
    Verb("serials", "nameserver.cli.migrate.serials", "the SOA at every address of every nameserver, side by side"),
)
