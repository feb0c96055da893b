//! Where the database is: its URL, with TLS as libpq means it.
//!
//! `sslmode` and `sslrootcert` are taken out of the URL and read here
//! (<https://www.postgresql.org/docs/current/libpq-ssl.html>); all else is the client library's to read.

use crate::error::{StoreError, StoreResult};
use domain::secret::Secret;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long one try to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which the other side is asked whether it is there, and how often.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long what was sent may be without the other side's receipt.
const UNANSWERED_TIMEOUT: Duration = Duration::from_secs(20);

/// What is said of a URL that is cut at the wrong place.
const ENCODE: &str = "a character of the user or the password has a meaning in URLs: write @ as %40, ? as %3F, / as %2F, : as %3A, # as %23";

/// A database that can be connected.
#[derive(Clone)]
pub struct Address {
    /// What is connected; without TLS first where that is allowed.
    pub config: Config,
    /// For `sslmode=allow` what is tried where a connection without TLS is refused, for `prefer` where one with it is.
    pub or_else: Option<Config>,
    /// How a server shows who it is.
    pub tls: MakeRustlsConnect,
    /// Host, port and name, for messages: no user and no password.
    pub shown: String,
}

/// How closely a server's certificate is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// Any certificate will do: the connection is encrypted, to whomever.
    Anyone,
    /// An authority that is trusted has signed it.
    Authority,
    /// And it is the name's.
    Name,
}

impl Address {
    /// Reads a URL; the message of an error does not repeat it, since it may hold a password.
    pub fn parse(url: &Secret) -> StoreResult<Self> {
        if !escapes_are_whole(url.reveal()) {
            return Err(unusable("a % in it begins no escape of two hexadecimal digits: write % as %25"));
        }
        let (url, rest) = url.reveal().split_once('?').unwrap_or((url.reveal(), ""));
        // Where a password holds one of them, the library takes part of it for the host, and an error would show that.
        if url.contains('#') || url.matches('@').count() > 1 {
            return Err(unusable(ENCODE));
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(unusable("it has to begin with postgres://"));
        }
        let (mut mode, mut roots) = (None, None);
        let mut others = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(rest.as_bytes()) {
            match &*name {
                "sslmode" => mode = Some(value.into_owned()),
                "sslrootcert" => roots = Some(value.into_owned()),
                "sslcert" | "sslkey" => {
                    return Err(unusable("certificates of clients (sslcert, sslkey) are not supported"));
                }
                // It may be the end of a password.
                _ if !name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_') => {
                    return Err(unusable(ENCODE));
                }
                _ => drop(others.append_pair(&name, &value)),
            }
        }
        // The library takes `+` for itself, where a form takes it for a space.
        let url = format!("{url}?{}", others.finish().replace('+', "%20"));
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            unusable(
                &std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string),
            )
        })?;
        if config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(name) if name.contains('@'))) {
            return Err(unusable(ENCODE));
        }
        if config.get_dbname().is_none() {
            return Err(unusable("the name of the database is missing: postgres://USER@HOST/NAME"));
        }
        // Anybody gets a certificate of the world's authorities: of those, the name alone says something.
        let is_of_the_world = roots.as_deref() == Some("system");
        let mode = mode.unwrap_or_else(|| if is_of_the_world { "verify-full" } else { "prefer" }.to_owned());
        let (ssl, trust) = match (mode.as_str(), roots.as_deref()) {
            ("verify-full", _) => (SslMode::Require, Trust::Name),
            (_, Some("system")) => return Err(unusable("sslrootcert=system needs sslmode=verify-full")),
            ("disable" | "allow", _) => (SslMode::Disable, Trust::Anyone),
            ("prefer", _) => (SslMode::Prefer, Trust::Anyone),
            ("require", None) => (SslMode::Require, Trust::Anyone),
            // As libpq does: whoever names an authority wants it looked at.
            ("require" | "verify-ca", Some(_)) => (SslMode::Require, Trust::Authority),
            ("verify-ca", None) => {
                return Err(unusable("sslmode=verify-ca needs sslrootcert, the file of the authority"));
            }
            _ => {
                return Err(unusable(
                    "sslmode is one of disable, allow, prefer, require, verify-ca, verify-full",
                ));
            }
        };
        config
            .application_name("callhook")
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(UNANSWERED_TIMEOUT)
            .ssl_mode(ssl);
        let other = match mode.as_str() {
            "allow" => Some(SslMode::Require),
            "prefer" => Some(SslMode::Disable),
            _ => None,
        };
        // What goes over a socket leaves the machine nowhere.
        let is_local = leads_to_sockets(&config);
        if is_local {
            config.ssl_mode(SslMode::Disable);
        }
        let other = other.filter(|_| !is_local);
        let or_else = other.map(|mode| config.clone().ssl_mode(mode).to_owned());
        Ok(Self { shown: shown(&config), config, or_else, tls: tls(trust, roots.as_deref())? })
    }
}

/// Whether no connection leaves this machine. `hostaddr` is connected in place of what `host` says.
fn leads_to_sockets(config: &Config) -> bool {
    let hosts = config.get_hosts();
    let is_named = !hosts.is_empty() && config.get_hostaddrs().is_empty();
    is_named && hosts.iter().all(|host| matches!(host, Host::Unix(_)))
}

/// Whether each `%` stands before two hexadecimal digits: the library takes any other as it is, where libpq refuses it.
fn escapes_are_whole(url: &str) -> bool {
    let is_digit = |digit: &u8| digit.is_ascii_hexdigit();
    url.split('%').skip(1).all(|rest| rest.as_bytes().get(..2).is_some_and(|two| two.iter().all(is_digit)))
}

fn shown(config: &Config) -> String {
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    });
    let ports = config.get_ports();
    let hosts: Vec<String> = hosts
        .enumerate()
        .map(|(index, host)| match ports.get(index).or(ports.first()) {
            Some(port) => format!("{host}:{port}"),
            None => host,
        })
        .collect();
    format!("{} at {}", config.get_dbname().unwrap_or_default(), hosts.join(", "))
}

fn tls(trust: Trust, roots: Option<&str>) -> StoreResult<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let trusted = match trust {
        Trust::Anyone => None,
        Trust::Authority | Trust::Name => {
            let certificates = authorities(roots)?;
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates.iter().cloned());
            let judge = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| unusable(&format!("its certificates cannot be verified: {error}")))?;
            Some(Trusted { judge, certificates })
        }
    };
    let verifier = Verifier { provider: Arc::clone(&provider), trusted, looks_at_name: trust == Trust::Name };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn authorities(file: Option<&str>) -> StoreResult<Vec<CertificateDer<'static>>> {
    let Some(file) = file.filter(|file| *file != "system") else {
        return Ok(rustls_native_certs::load_native_certs().certs);
    };
    let unreadable = |error: &dyn std::fmt::Display| unusable(&format!("sslrootcert {file}: {error}"));
    let certificates = CertificateDer::pem_file_iter(Path::new(file)).map_err(|error| unreadable(&error))?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(|error| unreadable(&error))?;
    for certificate in &certificates {
        RootCertStore::empty().add(certificate.clone()).map_err(|error| unreadable(&error))?;
    }
    if certificates.is_empty() {
        return Err(unreadable(&"it holds no certificate"));
    }
    Ok(certificates)
}

fn unusable(why: &str) -> StoreError {
    StoreError::Unusable(format!("the database's URL (--database-url) cannot be used: {why}"))
}

/// What webpki says of an authority's certificate that a server shows as its own.
const AUTHORITY_AS_SERVER: &str = "CaUsedAsEndEntity";

/// Whom a server may be.
#[derive(Debug)]
struct Trusted {
    judge: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

/// Looks as closely as libpq does: at the name or not, or at nothing but that the key is the certificate's.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    trusted: Option<Trusted>,
    looks_at_name: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(Trusted { judge, certificates }) = &self.trusted else {
            return Ok(ServerCertVerified::assertion());
        };
        match judge.verify_server_cert(certificate, between, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.looks_at_name => Ok(ServerCertVerified::assertion()),
            // An authority's, which signed itself, as the server's manual makes one: the file names this very certificate.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why))))
                if why.to_string() == AUTHORITY_AS_SERVER && certificates.contains(certificate) =>
            {
                if self.looks_at_name {
                    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                }
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address, String> {
        Address::parse(&Secret::new(url)).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_shows_neither_user_nor_password() {
        let address = parse("postgres://alice:hush-hush@db.example.com:6543/calls?sslmode=require").unwrap();
        assert_eq!(address.shown, "calls at db.example.com:6543");
        assert_eq!(address.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(address.config.get_password(), Some(&b"hush-hush"[..]));
    }

    #[test]
    fn every_mode_of_libpq_is_known() {
        for (mode, ssl, has_second) in [
            ("disable", SslMode::Disable, false),
            ("allow", SslMode::Disable, true),
            ("prefer", SslMode::Prefer, true),
            ("require", SslMode::Require, false),
            ("verify-full", SslMode::Require, false),
        ] {
            let address = parse(&format!("postgresql://db/calls?sslmode={mode}")).unwrap();
            assert_eq!(
                (address.config.get_ssl_mode(), address.or_else.is_some()),
                (ssl, has_second),
                "{mode}"
            );
        }
    }

    #[test]
    fn a_socket_of_this_machine_is_not_encrypted() {
        for mode in ["disable", "allow", "prefer", "require", "verify-full"] {
            let address = parse(&format!("postgres:///calls?host=/run/postgresql&sslmode={mode}")).unwrap();
            assert_eq!(address.config.get_ssl_mode(), SslMode::Disable, "{mode}");
            assert!(address.or_else.is_none(), "{mode}");
        }
        for elsewhere in [
            "postgres://%2Frun%2Fpostgresql,db/calls?",
            "postgres:///calls?hostaddr=192.0.2.1&",
            "postgres:///calls?host=/run/postgresql&hostaddr=192.0.2.1&",
        ] {
            let address = parse(&format!("{elsewhere}sslmode=verify-full")).unwrap();
            assert_eq!(address.config.get_ssl_mode(), SslMode::Require, "{elsewhere}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_said_without_the_url() {
        for (url, word) in [
            ("mysql://alice:hush-hush@db/calls", "postgres://"),
            ("postgres://alice:hush-hush@db", "name of the database"),
            ("postgres://alice:hush-hush@db:port/calls", "port"),
            ("postgres://alice:hush-hush@db/calls?sslmode=sometimes", "sslmode is one of"),
            (
                "postgres://alice:hush-hush@db/calls?sslrootcert=/nowhere.pem&sslmode=verify-ca",
                "/nowhere.pem",
            ),
            ("postgres://alice:hush-hush@db/calls?sslcert=a.pem", "sslcert"),
            ("postgres://alice:hush-hush@db/calls?no_such_setting=1", "no_such_setting"),
            ("postgres://alice:ssap@hush-hush@db/calls", "%40"),
            ("postgres://alice:12?hush-hush@db/calls", "%3F"),
            ("postgres://alice:hush-hush%zz@db/calls", "%25"),
            ("postgres://alice:hush-hush%@db/calls", "%25"),
            ("postgres://alice:hush-hush@db/calls?application_name=%e", "%25"),
            ("postgres://alice:hush-hush@db/calls%", "%25"),
            ("postgres://db/calls?sslmode=verify-ca", "needs sslrootcert"),
            ("postgres://db/calls?sslrootcert=system&sslmode=require", "needs sslmode=verify-full"),
            ("postgres://db/calls?sslrootcert=/dev/null&sslmode=verify-ca", "no certificate"),
        ] {
            let words = parse(url).map(|address| address.shown).unwrap_err();
            assert!(words.contains(word), "{url}: {words}");
            assert!(!words.contains("hush-hush"), "{words}");
        }
    }
}
