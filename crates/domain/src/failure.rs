//! Why an attempt failed: the facts, the code that programs read, and the words that people read.
//!
//! Everything that shows a failure (API, dashboard, alerts, command line) takes it from here, so that the same
//! failure is called the same everywhere. No text names a URL's path or query: they may be secret.

use crate::time::Timestamp;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

mod address;
mod brief;
mod kind;
mod words;

pub use address::AddressKind;
pub use brief::brief;
pub use kind::{KINDS, kind};

/// Why an attempt failed, with every fact that its words need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The final answer was no 2xx.
    Status {
        /// The answer's status.
        status: u16,
        /// Until when the endpoint asked to be left alone.
        retry_at: Option<Timestamp>,
    },
    /// No final status came in time.
    Timeout {
        /// The host that was waited for last.
        host: String,
        /// How long an attempt may take.
        limit: Duration,
        /// What was being done when the time was up.
        phase: Phase,
        /// How long connecting had taken, where a connection was made.
        connected_in: Option<Duration>,
    },
    /// The host's name led to no address.
    Dns {
        /// The name.
        host: String,
        /// What the name system said.
        reason: DnsFailure,
    },
    /// No connection could be made.
    Connect {
        /// The host.
        host: String,
        /// Its port.
        port: u16,
        /// What the network said.
        reason: ConnectFailure,
    },
    /// No trusted, encrypted connection could be made.
    Tls {
        /// The host.
        host: String,
        /// What was wrong with it.
        reason: TlsFailure,
    },
    /// The redirects did not end.
    RedirectLimit {
        /// Redirects that were answered, the one that was not followed included.
        redirects: u32,
        /// Scheme, host and port where the last one leads.
        last: String,
        /// Whether it leads where the attempt had been before.
        circle: bool,
    },
    /// A redirect led where callhook does not go.
    RedirectRefused {
        /// The host that answered with the redirect.
        host: String,
        /// Why it is not followed.
        reason: RedirectRefusal,
    },
    /// The host is at an address that is not publicly routable and that the operator did not allow.
    BlockedAddress {
        /// The host as the URL names it.
        host: String,
        /// The address.
        address: IpAddr,
        /// What such addresses are for.
        kind: AddressKind,
    },
    /// What came back was no usable HTTP answer.
    Protocol {
        /// The host.
        host: String,
        /// What was wrong with it.
        reason: ProtocolFailure,
    },
}

/// The steps of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Asking for the host's addresses.
    Dns,
    /// Connecting to one of them.
    Connect,
    /// Agreeing on encryption.
    Tls,
    /// Sending the request and waiting for the status.
    Wait,
}

/// What the name system said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsFailure {
    /// There is no such name.
    NoSuchName,
    /// The name exists, but without an address.
    NoAddress,
    /// The name is none that the name system can be asked for.
    InvalidName,
    /// A name server answered that it cannot or will not say.
    ServerFailed,
    /// No name server answered.
    NoAnswer,
    /// This machine names no name server.
    NoServer,
}

/// What the network said to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectFailure {
    /// Nothing listens at the port.
    Refused,
    /// The connection was made and cut at once.
    Reset,
    /// There is no way to the host.
    Unreachable,
    /// The host did not answer at all.
    NoAnswer,
    /// A rule of this machine forbids it.
    Forbidden,
    /// This machine has no more sockets or memory for it.
    Exhausted,
    /// Anything else, by the system's error number.
    Other(Option<i32>),
}

/// What was wrong with the encrypted connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    /// The certificate's time is over.
    Expired {
        /// Since when, where it is known.
        since: Option<Timestamp>,
    },
    /// The certificate's time has not begun.
    NotYetValid {
        /// From when on it counts, where it is known.
        from: Option<Timestamp>,
    },
    /// The certificate is for other names.
    WrongName {
        /// Some of the names that it is for.
        names: Vec<String>,
    },
    /// Nobody whom this machine trusts signed the certificate.
    UnknownIssuer,
    /// Its issuer has taken the certificate back.
    Revoked,
    /// The certificate is broken, or not one for servers.
    BadCertificate,
    /// The port speaks something else.
    NotTls,
    /// No version or cipher that both sides take.
    NothingInCommon,
    /// The endpoint wants a certificate of its client.
    ClientCertificateWanted,
    /// The endpoint does not know the host's name.
    NameNotServed,
    /// The endpoint ended the handshake with this alert.
    Alert(String),
    /// The connection was cut during the handshake.
    Closed,
    /// The endpoint broke the protocol.
    Broken,
}

/// Why a redirect is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectRefusal {
    /// From https to http.
    Downgrade,
    /// To something that is neither http nor https.
    Scheme,
    /// To an address with a user name or password in it.
    UserInfo,
    /// To an address that is too long.
    TooLong,
}

/// What was wrong with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolFailure {
    /// Something that is not HTTP.
    NotHttp,
    /// HTTP/2, which was not agreed on.
    Http2,
    /// The connection was closed before the answer was complete.
    Closed,
    /// The connection was reset.
    Reset,
    /// More or longer headers than callhook reads.
    HeadersTooLarge,
    /// More interim answers (1xx) than callhook reads.
    TooManyInterim,
    /// The request cannot be written in HTTP.
    Unsendable,
}

impl Failure {
    /// The code that programs read: stable, one word.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            Self::Status { status, .. } => format!("http_{status}"),
            Self::Timeout { .. } => "timeout".into(),
            Self::Dns { .. } => "dns".into(),
            Self::Connect { .. } => "connect".into(),
            Self::Tls { .. } => "tls".into(),
            Self::RedirectLimit { .. } => "redirect_limit".into(),
            Self::RedirectRefused { .. } => "redirect_refused".into(),
            Self::BlockedAddress { .. } => "blocked_address".into(),
            Self::Protocol { .. } => "protocol".into(),
        }
    }

    /// The words that people read: what happened, what it usually means, what to do.
    #[must_use]
    pub fn words(&self) -> String {
        words::words(self)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests;
