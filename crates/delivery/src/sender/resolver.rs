//! From a host's name to its addresses: the system's name servers and hosts file, behind a trait.

use domain::failure::DnsFailure;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RecordType};
use std::future::Future;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::time::timeout;

/// The addresses of a name, or why there are none.
pub type Resolved<'a> = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, DnsFailure>> + Send + 'a>>;

/// Something that knows the addresses of names.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `host`, which is a name and never an address.
    fn resolve<'a>(&'a self, host: &'a str) -> Resolved<'a>;
}

/// One question to one server: two of them, twice, fit into an attempt.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(2);
/// How long IPv6 addresses are waited for once IPv4 addresses are there: some name servers never answer for them, and they come second
/// anyway.
const IPV6_AWAITED: Duration = Duration::from_millis(100);
/// A name that was just mended is found soon.
const NEGATIVE_ANSWER_KEPT_MAX: Duration = Duration::from_secs(10);
/// An endpoint that moves is found there in time, whatever its record says.
const ANSWER_KEPT_MAX: Duration = Duration::from_mins(5);
/// Answers kept: some 1 MB.
const ANSWERS_KEPT_MAX: u64 = 1_024;

/// The name system as this machine is set up for it (`/etc/resolv.conf`, `/etc/hosts`), read once at start.
pub struct SystemResolver {
    resolver: Option<TokioResolver>,
    has_servers: bool,
}

impl SystemResolver {
    /// Reads the machine's settings. Without a name server only the hosts file answers; a name that is not in it fails as
    /// [`DnsFailure::NoServer`], which says what to do.
    #[must_use]
    pub fn from_system() -> Self {
        let (config, options) = match hickory_resolver::system_conf::read_system_conf() {
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(%error, "no name server is configured: only names in the hosts file will be found");
                (ResolverConfig::default(), ResolverOpts::default())
            }
        };
        Self::new(config, options)
    }

    fn new(config: ResolverConfig, mut options: ResolverOpts) -> Self {
        let has_servers = !config.name_servers().is_empty();
        options.timeout = QUESTION_TIMEOUT;
        options.attempts = options.attempts.clamp(1, 2);
        options.use_hosts_file = ResolveHosts::Always;
        // A name with a dot is asked for as it stands, before the search list is tried.
        options.ndots = 1;
        options.cache_size = ANSWERS_KEPT_MAX;
        options.negative_max_ttl = Some(NEGATIVE_ANSWER_KEPT_MAX);
        options.positive_max_ttl = Some(ANSWER_KEPT_MAX);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        Self { resolver: builder.build().ok(), has_servers }
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolved<'a> {
        Box::pin(async move {
            let resolver = self.resolver.as_ref().ok_or(DnsFailure::NoServer)?;
            // A label of more than 63 bytes, an empty one.
            let name = Name::from_utf8(host).map_err(|_| DnsFailure::InvalidName)?;
            match both_families(resolver, name).await {
                Ok(addresses) if addresses.is_empty() => Err(DnsFailure::NoAddress),
                Ok(addresses) => Ok(addresses),
                Err(_) if !self.has_servers => Err(DnsFailure::NoServer),
                Err(error) => Err(failure(&error)),
            }
        })
    }
}

/// All addresses. Many hosts have IPv6 addresses and no way to them: IPv4 comes first.
async fn both_families(resolver: &TokioResolver, name: Name) -> Result<Vec<IpAddr>, NetError> {
    let mut ipv4 = pin!(resolver.lookup(name.clone(), RecordType::A));
    let mut ipv6 = pin!(resolver.lookup(name, RecordType::AAAA));
    let mut early = None;
    let first = loop {
        tokio::select! {
            found = &mut ipv4 => break found,
            found = &mut ipv6, if early.is_none() => early = Some(found),
        }
    };
    let second = match (early, &first) {
        (Some(found), _) => Some(found),
        (None, Ok(_)) => timeout(IPV6_AWAITED, ipv6).await.ok(),
        (None, Err(_)) => Some(ipv6.await),
    };
    match (first, second) {
        (Ok(first), second) => {
            Ok(addresses(&first).chain(second.iter().flatten().flat_map(addresses)).collect())
        }
        (Err(_), Some(Ok(second))) => Ok(addresses(&second).collect()),
        (Err(error), _) => Err(error),
    }
}

fn addresses(found: &Lookup) -> impl Iterator<Item = IpAddr> {
    found.answers().iter().filter_map(|record| record.data.ip_addr())
}

/// What an error of the resolver means to a person.
fn failure(error: &NetError) -> DnsFailure {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => DnsFailure::NoSuchName,
            ResponseCode::NoError => DnsFailure::NoAddress,
            _ => DnsFailure::ServerFailed,
        },
        NetError::Dns(_) | NetError::Proto(_) => DnsFailure::ServerFailed,
        _ => DnsFailure::NoAnswer,
    }
}

#[cfg(test)]
mod tests;
