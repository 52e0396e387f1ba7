"""`nameserver migrate VERB`: one file per verb, as for the commands above it."""

from nameserver.cli.main import Verb

VERBS = (
    Verb("serials", "nameserver.cli.migrate.serials", "the SOA at every address of every nameserver, side by side"),
)
