//! Connecting: names to addresses, the guard on each address, TCP, TLS, and HTTP/1.1 on top.
//!
//! **Invariant:** every connection goes through [`Connector::dial`], which asks the guard for the address it is about to connect,
//! whether a name led to it or the URL names it literally, and again for the address at the other end once connected.

use super::guard::AddressGuard;
use super::limits;
use super::origin::Origin;
use super::resolver::Resolve;
use super::timeline::Timeline;
use super::tls;
use bytes::Bytes;
use domain::failure::{ConnectFailure, DnsFailure, Failure, Phase, ProtocolFailure};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use url::Host;

pub(super) struct Connector {
    pub guard: AddressGuard,
    pub resolver: Arc<dyn Resolve>,
    pub tls: TlsConnector,
}

/// An HTTP/1.1 connection. Dropping it closes it, whatever the other side still sends.
pub(super) struct Connection {
    pub origin: Origin,
    pub remote: SocketAddr,
    pub made_at: Instant,
    /// How long it may stay idle, as its last answer says.
    pub idle_max: Duration,
    /// Whether the endpoint asked for a client certificate, and has not shown yet that it does without.
    pub asked_for_certificate: bool,
    pub requests: http1::SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connector {
    /// A fresh connection to the origin.
    pub async fn connect(
        &self,
        origin: &Origin,
        timeline: &mut Timeline,
        deadline: Instant,
    ) -> Result<Connection, Failure> {
        let addresses = self.addresses(origin, timeline).await?;
        timeline.enter(Phase::Connect);
        let started = Instant::now();
        let (stream, remote) = self.dial_in_turn(origin, &addresses, deadline).await?;
        timeline.connected(remote, started.elapsed());
        if !origin.https {
            return handshake(origin, remote, stream).await;
        }
        timeline.enter(Phase::Tls);
        let failed = |reason| Failure::Tls { host: origin.host.to_string(), reason };
        let name =
            server_name(&origin.host).ok_or_else(|| failed(domain::failure::TlsFailure::NameNotServed))?;
        let secured = tls::connect(&self.tls, name, stream).await.map_err(failed)?;
        let mut connection = handshake(origin, remote, secured.stream).await?;
        connection.asked_for_certificate = secured.asked_for_certificate;
        Ok(connection)
    }

    /// The addresses that may be connected. Where only some are blocked, the others are used.
    async fn addresses(&self, origin: &Origin, timeline: &mut Timeline) -> Result<Vec<IpAddr>, Failure> {
        let host = || origin.host.to_string();
        let found = match &origin.host {
            Host::Ipv4(v4) => vec![IpAddr::V4(*v4)],
            Host::Ipv6(v6) => vec![IpAddr::V6(*v6)],
            Host::Domain(name) => {
                self.guard.check_host(&Host::Domain(name)).map_err(|refused| blocked(origin, refused))?;
                timeline.enter(Phase::Dns);
                self.resolver.resolve(name).await.map_err(|reason| Failure::Dns { host: host(), reason })?
            }
        };
        let mut addresses: Vec<IpAddr> = Vec::new();
        let mut refusal = None;
        for address in found {
            // A mapped address is connected as what it is.
            let connected = address.to_canonical();
            match self.guard.check(address) {
                Ok(()) if addresses.contains(&connected) => {}
                Ok(()) => addresses.push(connected),
                Err(refused) => refusal = refusal.or(Some(refused)),
            }
        }
        addresses.truncate(limits::ADDRESSES_TRIED_MAX);
        match refusal {
            Some(refused) if addresses.is_empty() => Err(blocked(origin, refused)),
            None if addresses.is_empty() => Err(Failure::Dns { host: host(), reason: DnsFailure::NoAddress }),
            _ => Ok(addresses),
        }
    }

    /// Tries one address after the other; each but the last gets a share of the time that is left, so that a dead one does
    /// not use up what the next needs. The first one's failure is told: name systems list the best first.
    async fn dial_in_turn(
        &self,
        origin: &Origin,
        addresses: &[IpAddr],
        deadline: Instant,
    ) -> Result<(TcpStream, SocketAddr), Failure> {
        let mut first_failure = None;
        for (tried, address) in addresses.iter().enumerate() {
            let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            let dialled = if left == 1 {
                self.dial(origin, *address).await
            } else {
                let failed = || Err(connect_failure(origin, ConnectFailure::NoAnswer));
                timeout(share, self.dial(origin, *address)).await.unwrap_or_else(|_| failed())
            };
            match dialled {
                Ok(connected) => return Ok(connected),
                Err(failure) => first_failure = first_failure.or(Some(failure)),
            }
        }
        Err(first_failure.unwrap_or_else(|| connect_failure(origin, ConnectFailure::Other(None))))
    }

    /// The one place that opens a socket.
    pub async fn dial(&self, origin: &Origin, address: IpAddr) -> Result<(TcpStream, SocketAddr), Failure> {
        let check = |address| self.guard.check(address).map_err(|refused| blocked(origin, refused));
        check(address)?;
        let failed = |error: io::Error| connect_failure(origin, connect_reason(&error));
        let stream = TcpStream::connect((address, origin.port)).await.map_err(failed)?;
        let remote = stream.peer_addr().map_err(failed)?;
        check(remote.ip())?;
        // A request is one write: waiting for more would only delay it.
        stream.set_nodelay(true).map_err(failed)?;
        Ok((stream, remote))
    }
}

fn blocked(origin: &Origin, refused: super::guard::Blocked) -> Failure {
    Failure::BlockedAddress { host: origin.host.to_string(), address: refused.address, kind: refused.kind }
}

fn connect_failure(origin: &Origin, reason: ConnectFailure) -> Failure {
    Failure::Connect { host: origin.host.to_string(), port: origin.port, reason }
}

/// What the system's error means to a person.
fn connect_reason(error: &io::Error) -> ConnectFailure {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => ConnectFailure::Refused,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::NotConnected => {
            ConnectFailure::Reset
        }
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::NetworkDown => {
            ConnectFailure::Unreachable
        }
        ErrorKind::TimedOut => ConnectFailure::NoAnswer,
        ErrorKind::PermissionDenied => ConnectFailure::Forbidden,
        ErrorKind::OutOfMemory | ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse => {
            ConnectFailure::Exhausted
        }
        // ENFILE, EMFILE and ENOBUFS of Linux have no kind of their own.
        _ if matches!(error.raw_os_error(), Some(23 | 24 | 105)) => ConnectFailure::Exhausted,
        _ => ConnectFailure::Other(error.raw_os_error()),
    }
}

/// The name that the certificate must be for.
fn server_name(host: &Host<String>) -> Option<ServerName<'static>> {
    match host {
        Host::Ipv4(v4) => Some(ServerName::IpAddress(IpAddr::V4(*v4).into())),
        Host::Ipv6(v6) => Some(ServerName::IpAddress(IpAddr::V6(*v6).into())),
        Host::Domain(name) => ServerName::try_from(name.trim_end_matches('.').to_owned()).ok(),
    }
}

async fn handshake<S>(origin: &Origin, remote: SocketAddr, stream: S) -> Result<Connection, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (requests, connection) = http1::Builder::new()
        .max_buf_size(limits::CONNECTION_BUFFER_BYTES_MAX)
        .max_headers(limits::RESPONSE_HEADERS_READ_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Failure::Protocol { host: origin.host.to_string(), reason: ProtocolFailure::Closed })?;
    // Its end is told to whoever waits for an answer.
    let driver = tokio::spawn(async move { drop(connection.await) });
    Ok(Connection {
        origin: origin.clone(),
        remote,
        made_at: Instant::now(),
        idle_max: limits::IDLE_DURATION_UNTOLD,
        asked_for_certificate: false,
        requests,
        driver,
    })
}
