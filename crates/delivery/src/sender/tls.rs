//! Encryption: whom this machine trusts, and what was wrong where it fails.

use super::limits;
use domain::Timestamp;
use domain::failure::TlsFailure;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore, SignatureScheme};
use std::cell::Cell;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The authorities that this machine trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured), or Mozilla's where it names
/// none, as in an empty container.
#[must_use]
pub fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (_, ignored) = roots.add_parsable_certificates(found.certs);
    if ignored > 0 {
        tracing::debug!(ignored, "some of the system's certificates cannot be read");
    }
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

tokio::task_local! {
    /// Whether the endpoint of the handshake under way has asked for a certificate of ours.
    static ASKED_FOR_CERTIFICATE: Cell<bool>;
}

/// Has no certificate, and notes that one was asked for.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        // Called while a handshake is polled; elsewhere nobody wants to know.
        let _ = ASKED_FOR_CERTIFICATE.try_with(|asked| asked.set(true));
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// An encrypted connection.
pub(super) struct Secured {
    pub stream: TlsStream<TcpStream>,
    /// Whether the endpoint asked for a certificate of ours, and got none.
    pub asked_for_certificate: bool,
}

/// Agrees on encryption with the server of that name.
pub(super) async fn connect(
    connector: &TlsConnector,
    name: ServerName<'static>,
    stream: TcpStream,
) -> Result<Secured, TlsFailure> {
    let handshake = async {
        let connected = connector.connect(name, stream).await;
        let asked_for_certificate = ASKED_FOR_CERTIFICATE.with(Cell::get);
        let stream = connected.map_err(|error| handshake_failure(&error, asked_for_certificate))?;
        Ok(Secured { stream, asked_for_certificate })
    };
    ASKED_FOR_CERTIFICATE.scope(Cell::new(false), handshake).await
}

pub(super) fn connector(roots: RootCertStore) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        // Cannot fail: ring has the ciphers of TLS 1.2 and 1.3.
        .expect("ring supports the default versions")
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(NoCertificate));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// What an error of the handshake means to a person.
fn handshake_failure(error: &std::io::Error, asked_for_certificate: bool) -> TlsFailure {
    match rustls_error(error) {
        // TLS 1.2 has no alert of its own for it, and servers differ in which one they send.
        Some(Error::AlertReceived(_)) if asked_for_certificate => TlsFailure::ClientCertificateWanted,
        Some(error) => failure(error),
        None => TlsFailure::Closed,
    }
}

/// The error of the encryption inside an I/O error, if that is what it is.
pub(super) fn rustls_error(error: &std::io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

pub(super) fn failure(error: &Error) -> TlsFailure {
    match error {
        Error::InvalidCertificate(wrong) => certificate_failure(wrong),
        Error::NoCertificatesPresented => TlsFailure::BadCertificate,
        Error::InvalidMessage(_) => TlsFailure::NotTls,
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => TlsFailure::NothingInCommon,
        Error::AlertReceived(alert) => match alert {
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity
            | AlertDescription::NoApplicationProtocol => TlsFailure::NothingInCommon,
            AlertDescription::CertificateRequired => TlsFailure::ClientCertificateWanted,
            AlertDescription::UnrecognisedName => TlsFailure::NameNotServed,
            AlertDescription::CloseNotify => TlsFailure::Closed,
            other => TlsFailure::Alert(format!("{other:?}")),
        },
        _ => TlsFailure::Broken,
    }
}

fn certificate_failure(wrong: &CertificateError) -> TlsFailure {
    match wrong {
        CertificateError::Expired => TlsFailure::Expired { since: None },
        CertificateError::ExpiredContext { not_after, .. } => {
            TlsFailure::Expired { since: Some(timestamp(*not_after)) }
        }
        CertificateError::NotValidYet => TlsFailure::NotYetValid { from: None },
        CertificateError::NotValidYetContext { not_before, .. } => {
            TlsFailure::NotYetValid { from: Some(timestamp(*not_before)) }
        }
        CertificateError::NotValidForName => TlsFailure::WrongName { names: Vec::new() },
        CertificateError::NotValidForNameContext { presented, .. } => {
            TlsFailure::WrongName { names: presented_names(presented) }
        }
        // An authority that only has the name of a trusted one signs with another key.
        CertificateError::UnknownIssuer
        | CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            TlsFailure::UnknownIssuer
        }
        CertificateError::Revoked => TlsFailure::Revoked,
        // A self-signed certificate that calls itself an authority is refused as "CA used as end entity".
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            TlsFailure::UnknownIssuer
        }
        _ => TlsFailure::BadCertificate,
    }
}

/// Some of the certificate's names as a person reads them. They are the endpoint's text: bounded, and only what names are made of.
fn presented_names(presented: &[String]) -> Vec<String> {
    let name = |text: &String| -> String {
        let inside = text.split_once("(\"").and_then(|(_, rest)| rest.split_once('"')).map(|(name, _)| name);
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || "-._*:".contains(*c);
        inside.unwrap_or(text).chars().filter(is_plain).take(100).collect()
    };
    presented.iter().map(name).filter(|name| !name.is_empty()).take(limits::CERTIFICATE_NAMES_MAX).collect()
}

fn timestamp(time: UnixTime) -> Timestamp {
    Timestamp::from_millis(i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1_000))
}
