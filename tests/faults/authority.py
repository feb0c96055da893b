"""Certificates as servers show them, right and wrong, and the authorities that sign them."""

import datetime
import itertools
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
# Gone when the tests have ended.
FOLDER = tempfile.TemporaryDirectory(prefix="callhook-certificates-")
NUMBERS = itertools.count()


def file_of(pem: bytes) -> str:
    path = Path(FOLDER.name) / f"{next(NUMBERS)}.pem"
    path.write_bytes(pem)
    return str(path)


class Authority:
    """Signs what it is given, right or wrong."""

    def __init__(self, name: str = "Test Authority"):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self.sign(self.key, self.name, is_authority=True)

    def sign(self, key, subject: x509.Name, *, host="localhost", since=NOW - DAY, until=NOW + DAY, usage=None, is_authority=False):
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if not is_authority:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def roots(self) -> str:
        """Its own certificate, in a file."""
        return file_of(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, key=None, **wrong) -> "Identity":
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        return Identity(key, [self.sign(key, subject, **wrong)])


class Identity:
    """A key and its chain, in a file as servers read them."""

    def __init__(self, key, chain: list[x509.Certificate]):
        pem = serialization.Encoding.PEM
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.path = file_of(private + b"".join(certificate.public_bytes(pem) for certificate in chain))

    def context(self, lowest=None, highest=None, ciphers=None, clients=None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # As old as it gets: the refusal is to be ours.
        context.set_ciphers(ciphers or "ALL:@SECLEVEL=0")
        context.minimum_version = lowest or ssl.TLSVersion.TLSv1_2
        context.maximum_version = highest or ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.path)
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        return context
