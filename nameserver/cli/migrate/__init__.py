"""`nameserver migrate VERB`: one file per verb, as for the commands above it."""

from nameserver.cli.main import Verb

VERBS = (
    Verb("plan", "nameserver.cli.migrate.plan", "begin a move: its state as a file, its calendar, its gates"),
    Verb("status", "nameserver.cli.migrate.status", "the phase of a move, and whether the gate to the next is open"),
    Verb("advance", "nameserver.cli.migrate.advance", "go on to the next phase, where its gate is open"),
    Verb("rollback", "nameserver.cli.migrate.rollback", "exactly what to restore, in the phase that the move is in"),
    Verb("verify", "nameserver.cli.migrate.verify", "after the cut-over: is everything as it was, everywhere?"),
    Verb("decommission", "nameserver.cli.migrate.decommission", "may the old side be switched off?"),
    Verb("gate", "nameserver.cli.migrate.gate", "go or no go: all checks that apply, one table, one exit code"),
    Verb("inventory", "nameserver.cli.migrate.inventory", "what is in a zone that a move has to take care of"),
    Verb("snapshot", "nameserver.cli.migrate.snapshot", "the zone as it is now, as files to commit: the way back"),
    Verb("check", "nameserver.cli.migrate.check", "can the zone be had from a server, and if not, why"),
    Verb("compare", "nameserver.cli.migrate.compare", "the parity gate: do two servers hold the same zone?"),
    Verb("serials", "nameserver.cli.migrate.serials", "the SOA at every address of every nameserver, side by side"),
    Verb("ttl", "nameserver.cli.migrate.ttl", "are the TTLs low, and from when on is the cut-over safe?"),
    Verb("delegation", "nameserver.cli.migrate.delegation", "what every server of the parent says about the zone"),
    Verb("propagation", "nameserver.cli.migrate.propagation", "what resolvers return by now"),
    Verb("dnssec", "nameserver.cli.migrate.dnssec", "do validators go on finding the zone good, and what is missing?"),
    Verb("exposure", "nameserver.cli.migrate.exposure", "does any server hand out the zone without a key?"),
    Verb("primary-snippet", "nameserver.cli.migrate.primary_snippet", "what to paste at a BIND, Knot, NSD or PowerDNS"),
)
