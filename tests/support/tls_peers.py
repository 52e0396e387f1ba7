"""BIND and NSD with TLS, as primaries and as secondaries: what they have without, and a few lines more."""

from dataclasses import dataclass, field

from support.certificates import Issued, authority
from support.peers import BindPrimary, NsdPrimary
from support.process import free_port
from support.secondaries import BindSecondary, NsdSecondary

CA = "ca.pem"


@dataclass
class TlsBindPrimary(BindPrimary):
    """Hands its zones to those who come over TLS, and with `mutual` show a certificate of the test's authority."""

    issued: Issued = field(default_factory=lambda: authority().issue("primary.example.net"))
    mutual: bool = False
    tls_port: int = field(default_factory=free_port)

    def configure(self) -> None:
        super().configure()
        self.issued.write(self.directory, "server")
        (self.directory / CA).write_text(authority().pem)
        mutual = f'ca-file "{self.directory}/{CA}";' if self.mutual else ""
        path = self.directory / "named.conf"
        text = path.read_text().replace(
            "  recursion no;", f"  listen-on port {self.tls_port} tls ours {{ 127.0.0.1; }};\n  recursion no;"
        )
        text = text.replace("allow-transfer {", f"allow-transfer port {self.tls_port} transport tls {{")
        files = f'cert-file "{self.directory}/server.pem"; key-file "{self.directory}/server.key";'
        path.write_text(f"tls ours {{ {files} {mutual} }};\n{text}")


@dataclass
class TlsNsdPrimary(NsdPrimary):
    """The same zones on a port with TLS, on which NSD 4.6 passes over ALPN and asks nobody for a certificate."""

    issued: Issued = field(default_factory=lambda: authority().issue("primary.example.net"))
    tls_port: int = field(default_factory=free_port)

    def configure(self) -> None:
        super().configure()
        self.issued.write(self.directory, "server")
        path = self.directory / "nsd.conf"
        lines = (
            f"server:\n  ip-address: 127.0.0.1@{self.tls_port}\n  tls-port: {self.tls_port}\n"
            f'  tls-service-key: "{self.directory}/server.key"\n  tls-service-pem: "{self.directory}/server.pem"\n'
        )
        path.write_text(path.read_text().replace("server:\n", lines, 1))


@dataclass
class TlsBindSecondary(BindSecondary):
    """Fetches over TLS from `server_name`, and shows `shown`. `zones` has the primary's port with TLS."""

    shown: Issued | None = None
    server_name: str = "primary.example.net"

    def configure(self) -> None:
        super().configure()
        (self.directory / CA).write_text(authority().pem)
        mutual = ""
        if self.shown is not None:
            self.shown.write(self.directory, "client")
            mutual = f'cert-file "{self.directory}/client.pem"; key-file "{self.directory}/client.key";'
        text = (self.directory / "named.conf").read_text()
        for port in set(self.zones.values()):
            signed = f" key {self.key.name}" if self.key else ""
            text = text.replace(f"port {port}{signed};", f"port {port}{signed} tls up;")
        up = f'tls up {{ ca-file "{self.directory}/{CA}"; remote-hostname "{self.server_name}"; {mutual} }};\n'
        (self.directory / "named.conf").write_text(up + text)


@dataclass
class TlsNsdSecondary(NsdSecondary):
    """The same with NSD."""

    shown: Issued | None = None
    server_name: str = "primary.example.net"

    def configure(self) -> None:
        super().configure()
        (self.directory / CA).write_text(authority().pem)
        mutual = ""
        if self.shown is not None:
            self.shown.write(self.directory, "client")
            mutual = f'  client-cert: "{self.directory}/client.pem"\n  client-key: "{self.directory}/client.key"\n'
        path = self.directory / "nsd.conf"
        text = path.read_text().replace("server:\n", f'server:\n  tls-cert-bundle: "{self.directory}/{CA}"\n', 1)
        name = self.key.name if self.key else "NOKEY"
        for port in set(self.zones.values()):
            text = text.replace(f"request-xfr: 127.0.0.1@{port} {name}", f"request-xfr: 127.0.0.1@{port} {name} up")
        up = f"tls-auth:\n  name: up\n  auth-domain-name: {self.server_name}\n{mutual}"
        path.write_text(text.replace("zone:\n", f"{up}zone:\n", 1))
