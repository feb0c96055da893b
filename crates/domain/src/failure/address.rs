//! What the addresses are for that webhooks do not go to unless the operator allows them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a block of addresses is for that is not publicly routable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// This machine itself.
    Loopback,
    /// A company's or a home's own network.
    Private,
    /// One cable or machine; clouds keep their metadata service there.
    LinkLocal,
    /// A provider's or cloud's inside (carrier-grade NAT, Azure's host).
    Provider,
    /// An IPv4 address in the clothes of an IPv6 one, or a tunnel to one.
    Translated,
    /// Examples in books, and measurements.
    Documentation,
    /// Many machines at once.
    Multicast,
    /// Reserved, special, or not in use.
    Reserved,
}

impl AddressKind {
    /// The kind, as it stands after "10.0.3.7, …".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Loopback => "this machine itself",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address, where clouds keep their machines' credentials",
            Self::Provider => "an address inside a provider's network",
            Self::Translated => "an IPv4 address hidden in an IPv6 one",
            Self::Documentation => "an address for examples and measurements only",
            Self::Multicast => "an address of many machines at once",
            Self::Reserved => "a reserved address",
        }
    }

    /// The network that an operator would allow who means this address; `None` where nobody can mean it.
    #[must_use]
    pub fn network_to_allow(self, address: IpAddr) -> Option<String> {
        match (self, address) {
            (Self::Documentation | Self::Multicast | Self::Reserved | Self::Translated, _) => None,
            (Self::Loopback, IpAddr::V4(_)) => Some("127.0.0.0/8".into()),
            (Self::Private | Self::Provider, IpAddr::V4(v4)) if !is_single(v4) => {
                let [a, b, c, _] = v4.octets();
                Some(format!("{}/24", Ipv4Addr::new(a, b, c, 0)))
            }
            (_, IpAddr::V4(v4)) => Some(format!("{v4}/32")),
            (Self::Private, IpAddr::V6(v6)) => {
                let [a, b, c, d, ..] = v6.segments();
                Some(format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
            }
            (_, IpAddr::V6(v6)) => Some(format!("{v6}/128")),
        }
    }
}

/// Azure's host stands alone among public addresses: its neighbours are not to be opened with it.
fn is_single(address: Ipv4Addr) -> bool {
    address == Ipv4Addr::new(168, 63, 129, 16)
}
