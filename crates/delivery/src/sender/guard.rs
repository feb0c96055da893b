//! Which addresses webhooks may go to: deny by default, on the address that is really connected.
//!
//! Denied is every block of IANA's special-purpose registries, past or present, whatever its flag for reachability:
//! what is "globally reachable" there is an anycast relay, a translator or a tunnel, never a webhook's receiver. Of
//! IPv6 only the global unicast space is left (`2000::/3`), without its special blocks.
//!
//! An IPv4 address in the clothes of an IPv6 one must not slip through. Written as `::ffff:a.b.c.d` the system connects
//! to the IPv4 address, so that it is denied in any case unless an allowed *IPv4* network holds the address inside: an
//! operator who allows `::/0` has not meant 127.0.0.1. Where the address only leads through a translator or tunnel to
//! IPv4 (NAT64, 6to4), the operator must have allowed it and the address inside must pass by itself.

use domain::destination::DestinationUrl;
use domain::failure::AddressKind;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::Host;

/// The rule that says where no byte is sent.
#[derive(Clone, Debug, Default)]
pub struct AddressGuard {
    allow: Vec<IpNet>,
}

/// A refusal: the address, and what such addresses are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The address.
    pub address: IpAddr,
    /// What it is for.
    pub kind: AddressKind,
}

impl AddressGuard {
    /// A guard that lets public addresses through and what the operator allows (`--allow-network`).
    #[must_use]
    pub const fn new(allow: Vec<IpNet>) -> Self {
        Self { allow }
    }

    /// Whether something may be sent to the address.
    pub fn check(&self, address: IpAddr) -> Result<(), Blocked> {
        let blocked = |kind| Err(Blocked { address, kind });
        if let IpAddr::V6(v6) = address
            && let Some(inside) = v6.to_ipv4_mapped()
        {
            return if self.allows(IpAddr::V4(inside)) { Ok(()) } else { blocked(AddressKind::Translated) };
        }
        let Some(kind) = special(address) else { return Ok(()) };
        if !self.allows(address) {
            return blocked(kind);
        }
        match address {
            IpAddr::V6(v6) => match translated(v6) {
                Some(inside) => self.check(IpAddr::V4(inside)).or_else(|_| blocked(kind)),
                None => Ok(()),
            },
            IpAddr::V4(_) => Ok(()),
        }
    }

    /// Whether a URL may be saved, as far as can be seen without asking the name system: its host may be a blocked address in
    /// any spelling, or a name that always means this machine.
    pub fn check_url(&self, url: &DestinationUrl) -> Result<(), Blocked> {
        url.host().map_or(Ok(()), |host| self.check_host(&host))
    }

    /// The same for a host.
    pub fn check_host(&self, host: &Host<&str>) -> Result<(), Blocked> {
        match host {
            Host::Ipv4(v4) => self.check(IpAddr::V4(*v4)),
            Host::Ipv6(v6) => self.check(IpAddr::V6(*v6)),
            // RFC 6761: never a name of the public name system.
            Host::Domain(name) if is_localhost(name) => self
                .check(IpAddr::V4(Ipv4Addr::LOCALHOST))
                .or_else(|refused| self.check(IpAddr::V6(Ipv6Addr::LOCALHOST)).map_err(|_| refused)),
            Host::Domain(_) => Ok(()),
        }
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|network| network.contains(&address))
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// What the address is for; `None`: it is public.
fn special(address: IpAddr) -> Option<AddressKind> {
    match address {
        IpAddr::V4(v4) => {
            let bits = u32::from(v4);
            let within = |(block, length, _): &&([u8; 4], u32, AddressKind)| {
                (bits ^ u32::from_be_bytes(*block)).leading_zeros() >= *length
            };
            V4_BLOCKS.iter().find(within).map(|(_, _, kind)| *kind)
        }
        IpAddr::V6(v6) => {
            let bits = u128::from(v6);
            let within = |(block, length, _): &&([u16; 4], u32, AddressKind)| {
                let [a, b, c, d] = *block;
                let block = u128::from(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0));
                (bits ^ block).leading_zeros() >= *length
            };
            if let Some((_, _, kind)) = V6_BLOCKS.iter().find(within) {
                return Some(*kind);
            }
            match v6 {
                Ipv6Addr::LOCALHOST => Some(AddressKind::Loopback),
                _ if bits >> 125 == 0b001 => None,
                _ if bits >> 32 == 0 && bits > 1 => Some(AddressKind::Translated),
                _ => Some(AddressKind::Reserved),
            }
        }
    }
}

/// The IPv4 address to which a translator or tunnel would lead: `::a.b.c.d`, NAT64's well-known prefix, 6to4.
fn translated(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = u128::from(v6);
    let low = u32::try_from(bits & 0xffff_ffff).ok()?;
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(Ipv4Addr::from(low)),
        [0, 0, 0, 0, 0, 0, _, _] if bits > 1 => Some(Ipv4Addr::from(low)),
        [0x2002, high, low, ..] => Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))),
        _ => None,
    }
}

use AddressKind as Kind;

/// IANA's IPv4 special-purpose registry, the multicast and reserved space, and Azure's host address.
const V4_BLOCKS: [([u8; 4], u32, AddressKind); 19] = [
    ([0, 0, 0, 0], 8, Kind::Reserved),
    ([10, 0, 0, 0], 8, Kind::Private),
    ([100, 64, 0, 0], 10, Kind::Provider),
    ([127, 0, 0, 0], 8, Kind::Loopback),
    ([168, 63, 129, 16], 32, Kind::Provider),
    ([169, 254, 0, 0], 16, Kind::LinkLocal),
    ([172, 16, 0, 0], 12, Kind::Private),
    ([192, 0, 0, 0], 24, Kind::Reserved),
    ([192, 0, 2, 0], 24, Kind::Documentation),
    ([192, 31, 196, 0], 24, Kind::Reserved),
    ([192, 52, 193, 0], 24, Kind::Reserved),
    ([192, 88, 99, 0], 24, Kind::Reserved),
    ([192, 168, 0, 0], 16, Kind::Private),
    ([192, 175, 48, 0], 24, Kind::Reserved),
    ([198, 18, 0, 0], 15, Kind::Documentation),
    ([198, 51, 100, 0], 24, Kind::Documentation),
    ([203, 0, 113, 0], 24, Kind::Documentation),
    ([224, 0, 0, 0], 4, Kind::Multicast),
    ([240, 0, 0, 0], 4, Kind::Reserved),
];

/// IANA's IPv6 special-purpose registry and the multicast space; `3ffe::/16` was the 6bone's. What lies outside of
/// `2000::/3` is denied anyhow and stands here for its kind.
const V6_BLOCKS: [([u16; 4], u32, AddressKind); 12] = [
    ([0x64, 0xff9b, 0, 0], 96, Kind::Translated),
    ([0x64, 0xff9b, 1, 0], 48, Kind::Translated),
    ([0x2001, 0xdb8, 0, 0], 32, Kind::Documentation),
    ([0x2001, 0, 0, 0], 32, Kind::Translated),
    ([0x2001, 0, 0, 0], 23, Kind::Reserved),
    ([0x2002, 0, 0, 0], 16, Kind::Translated),
    ([0x2620, 0x4f, 0x8000, 0], 48, Kind::Reserved),
    ([0x3ffe, 0, 0, 0], 16, Kind::Reserved),
    ([0x3fff, 0, 0, 0], 20, Kind::Documentation),
    ([0xfc00, 0, 0, 0], 7, Kind::Private),
    ([0xfe80, 0, 0, 0], 10, Kind::LinkLocal),
    ([0xff00, 0, 0, 0], 8, Kind::Multicast),
];

#[cfg(test)]
mod tests;
