//! Where a webhook may connect to, and where never.
//!
//! Whoever may name a target must not be able to make this process speak to the machine it runs on, to the network behind
//! it, or to the store of credentials that clouds put at a link-local address. Three things are therefore refused unless
//! `allow_private` names the range: an address written into the URL, in whatever spelling; a name that resolves to an
//! address which is not of the public Internet; and whatever a redirect names, since none is followed.
//!
//! A name is resolved once for a connection, what came back is checked, and the connection is made to the very addresses
//! that were checked: a second answer of the name server is never asked for, so there is nothing to rebind.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tower_service::Service;
use url::Url;

/// Why a connection is refused before it is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The URL names an address.
    #[error("the address {0} is written into the URL; name a host, or allow it: allow_private = [\"{0}/{bits}\"]", bits = bits(*.0))]
    Literal(IpAddr),
    /// The name resolves to an address that is nobody's on the Internet.
    #[error("{name} resolves to {address}, which is {kind}; allow its range in allow_private if that is meant")]
    Private {
        /// The name.
        name: String,
        /// What it resolved to.
        address: IpAddr,
        /// What that is.
        kind: &'static str,
    },
    /// The name resolves to nothing.
    #[error("{0} resolves to no address")]
    Nowhere(String),
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Asks a name server.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of a name.
    fn addresses(&self, name: &str) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;
}

/// The system's own.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Lookup for System {
    fn addresses(&self, name: &str) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
        let name = name.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|found| found.ip()).collect()) })
    }
}

/// Checks an address as it is written, whatever the spelling: the parser has already made a dotted quad of `0x7f.1`,
/// `2130706433` and `0177.0.0.1`, and has refused a zone.
///
/// # Errors
/// When it is an address that is not allowed.
pub fn check_literal(url: &Url, allowed: &[IpNet]) -> Result<(), Refused> {
    let host = url.host_str().unwrap_or_default();
    let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() else { return Ok(()) };
    let plain = plain(address);
    if allowed.iter().any(|range| range.contains(&plain)) { Ok(()) } else { Err(Refused::Literal(plain)) }
}

/// The resolver of the shared client: each host may reach what its targets allow, and what is public.
#[derive(Clone)]
pub struct Guard {
    lookup: Arc<dyn Lookup>,
    /// Ranges by host, as its targets allow them.
    allowed: Arc<BTreeMap<String, Vec<IpNet>>>,
}

impl Guard {
    /// A guard that asks `lookup` and lets each host of `allowed` reach the ranges beside it.
    #[must_use]
    pub fn new(lookup: Arc<dyn Lookup>, allowed: BTreeMap<String, Vec<IpNet>>) -> Self {
        Self { lookup, allowed: Arc::new(allowed) }
    }

    /// The addresses a host may be reached at.
    ///
    /// # Errors
    /// When one of them is not allowed: a name that is public and private at once is not trusted in part.
    pub async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let found = self.lookup.addresses(host).await?;
        let allowed = self.allowed.get(host).map_or(&[][..], Vec::as_slice);
        for address in found.iter().map(|address| plain(*address)) {
            if let (Some(kind), false) = (special(address), allowed.iter().any(|range| range.contains(&address))) {
                return Err(Refused::Private { name: host.to_owned(), address, kind }.into());
            }
        }
        if found.is_empty() { Err(Refused::Nowhere(host.to_owned()).into()) } else { Ok(found) }
    }
}

/// As the connector asks it; the connector puts the port of the URL in.
impl Service<Name> for Guard {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let guard = self.clone();
        Box::pin(async move {
            let found = guard.resolve(name.as_str()).await?;
            Ok(found.into_iter().map(|address| SocketAddr::new(address, 0)).collect::<Vec<_>>().into_iter())
        })
    }
}

/// An IPv4 address that is dressed as an IPv6 one is what it is.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// What an address is, where it is nobody's on the public Internet.
#[must_use]
pub fn special(address: IpAddr) -> Option<&'static str> {
    match plain(address) {
        IpAddr::V4(v4) => {
            SPECIAL_V4.iter().find(|(net, bits, _)| v4_net(*net, *bits).contains(&v4)).map(|(.., kind)| *kind)
        }
        IpAddr::V6(v6) => {
            let found = SPECIAL_V6.iter().find(|(net, bits, _)| v6_net(*net, *bits).contains(&v6));
            // Only 2000::/3 has been given out; the rest of the space is loopback, local, multicast or nothing yet.
            found.map(|(.., kind)| *kind).or((v6.segments()[0] & 0xe000 != 0x2000).then_some("no public address"))
        }
    }
}

fn v4_net(net: [u8; 4], bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from(net), bits)
}

fn v6_net(net: [u16; 8], bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from(net), bits)
}

/// The IANA registry of special-purpose IPv4 addresses, and one cloud's metadata host that stands in public space.
const SPECIAL_V4: [([u8; 4], u8, &str); 17] = [
    ([0, 0, 0, 0], 8, "this network"),
    ([10, 0, 0, 0], 8, "private"),
    ([100, 64, 0, 0], 10, "shared by a carrier"),
    ([127, 0, 0, 0], 8, "loopback"),
    ([169, 254, 0, 0], 16, "link-local, where clouds keep credentials"),
    ([168, 63, 129, 16], 32, "a cloud's metadata host"),
    ([172, 16, 0, 0], 12, "private"),
    ([192, 0, 0, 0], 24, "reserved"),
    ([192, 0, 2, 0], 24, "for documentation"),
    ([192, 88, 99, 0], 24, "a relay of 6to4"),
    ([192, 168, 0, 0], 16, "private"),
    ([198, 18, 0, 0], 15, "for benchmarks"),
    ([198, 51, 100, 0], 24, "for documentation"),
    ([203, 0, 113, 0], 24, "for documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([255, 255, 255, 255], 32, "broadcast"),
    ([240, 0, 0, 0], 4, "reserved"),
];

/// What is special within and beside the public IPv6 space; addresses that carry an IPv4 address inside are refused whole.
const SPECIAL_V6: [([u16; 8], u8, &str); 11] = [
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback"),
    ([0, 0, 0, 0, 0, 0, 0, 0], 96, "unspecified, or an IPv4 address inside"),
    ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, "an IPv4 address behind a translator"),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "an IPv4 address behind a translator"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "for protocols, with IPv4 addresses inside"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "for documentation"),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "an IPv4 address inside (6to4)"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "for documentation"),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "private"),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local"),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
];
