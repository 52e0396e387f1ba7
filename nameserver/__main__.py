"""`python -m nameserver` is the `nameserver` command."""

from nameserver.cli.main import main

raise SystemExit(main())
