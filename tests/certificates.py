"""A certificate authority of the tests' own, as strict as Python 3.13 wants one."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID


class Authority:
    """Issues certificates; ``bundle`` is the file that makes them trusted."""

    def __init__(self, folder: Path) -> None:
        """Make the authority's own key and certificate."""
        self.folder = folder
        self.bundle = folder / "ca.pem"
        self.key = ec.generate_private_key(ec.SECP256R1())
        public = self.key.public_key()
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.name = _name("The tests' own CA")
        certificate = (
            _builder(self.name, public, datetime.now(UTC) + timedelta(days=30))
            .issuer_name(self.name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self.key, SHA256())
        )
        self.bundle.write_bytes(certificate.public_bytes(Encoding.PEM))

    def issue(self, *names: str, days: int = 30, passphrase: str = "") -> tuple[Path, Path]:
        """Issue a certificate for host names and addresses; gives the files of the certificate and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        certificate = (
            _builder(_name(names[0]), key.public_key(), datetime.now(UTC) + timedelta(days=days))
            .issuer_name(self.name)
            .add_extension(alternatives, critical=False)
            .add_extension(issuer, critical=False)
            .sign(self.key, SHA256())
        )
        stem = f"{names[0]}.{certificate.serial_number:x}"
        certificate_file, key_file = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        lock: KeySerializationEncryption = NoEncryption()
        if passphrase:
            lock = BestAvailableEncryption(passphrase.encode())
        certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
        key_file.chmod(0o600)
        return certificate_file, key_file


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(name: x509.Name, key: ec.EllipticCurvePublicKey, end: datetime) -> x509.CertificateBuilder:
    start = datetime.now(UTC) - timedelta(days=60)
    builder = x509.CertificateBuilder().subject_name(name).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)
