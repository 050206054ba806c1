//! The header of the PROXY protocol that begins a connection, so that an endpoint learns who the client is. (The
//! protocol's specification is HAProxy's `doc/proxy-protocol.txt`.)

use std::net::{IpAddr, SocketAddr};

use crate::config::ProxyVersion;

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The two ends of a client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The client's.
    pub client: SocketAddr,
    /// gofe's, where it is known.
    pub local: Option<SocketAddr>,
}

/// The header of a connection from and to these addresses; for one that is gofe's own, the header that says so.
pub(super) fn encode(version: ProxyVersion, ends: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    match (version, ends.map(family)) {
        (ProxyVersion::V1, None) => b"PROXY UNKNOWN\r\n".to_vec(),
        (ProxyVersion::V1, Some((client, local))) => {
            let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (client.ip(), local.ip());
            format!("PROXY {family} {from} {to} {} {}\r\n", client.port(), local.port()).into_bytes()
        }
        (ProxyVersion::V2, ends) => binary(ends),
    }
}

/// Section 2.2.
fn binary(ends: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let Some((client, local)) = ends else {
        // LOCAL, of no family, with no addresses.
        header.extend([0x20, 0x00, 0x00, 0x00]);
        return header;
    };
    let mut addresses = Vec::with_capacity(36);
    for end in [client, local] {
        match end.ip() {
            IpAddr::V4(ip) => addresses.extend(ip.octets()),
            IpAddr::V6(ip) => addresses.extend(ip.octets()),
        }
    }
    addresses.extend(client.port().to_be_bytes());
    addresses.extend(local.port().to_be_bytes());
    let family = if client.is_ipv4() { 0x11 } else { 0x21 };
    header.extend([0x21, family]);
    header.extend(u16::try_from(addresses.len()).unwrap_or(0).to_be_bytes());
    header.extend(addresses);
    header
}

/// Both ends in one family: that of IPv4 where both have it.
fn family((client, local): (SocketAddr, SocketAddr)) -> (SocketAddr, SocketAddr) {
    let (from, to) = (client.ip().to_canonical(), local.ip().to_canonical());
    let (from, to) = if from.is_ipv4() == to.is_ipv4() { (from, to) } else { (mapped(from), mapped(to)) };
    (SocketAddr::new(from, client.port()), SocketAddr::new(to, local.port()))
}

fn mapped(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => IpAddr::V6(ip.to_ipv6_mapped()),
        IpAddr::V6(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(client: &str, local: &str) -> Option<(SocketAddr, SocketAddr)> {
        Some((client.parse().expect("an address"), local.parse().expect("an address")))
    }

    #[test]
    fn version_1_is_a_line() {
        let header = |ends| String::from_utf8(encode(ProxyVersion::V1, ends)).expect("text");
        assert_eq!(header(ends("192.0.2.1:4000", "10.0.0.1:443")), "PROXY TCP4 192.0.2.1 10.0.0.1 4000 443\r\n");
        assert_eq!(header(ends("[2001:db8::1]:4000", "[::1]:443")), "PROXY TCP6 2001:db8::1 ::1 4000 443\r\n");
        assert_eq!(header(ends("[::ffff:192.0.2.1]:1", "10.0.0.1:2")), "PROXY TCP4 192.0.2.1 10.0.0.1 1 2\r\n");
        assert_eq!(header(ends("192.0.2.1:1", "[::1]:2")), "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n");
        assert_eq!(header(None), "PROXY UNKNOWN\r\n");
    }

    #[test]
    fn version_2_is_binary() {
        let header = encode(ProxyVersion::V2, ends("192.0.2.1:4000", "10.0.0.1:443"));
        assert_eq!(&header[12..], [0x21, 0x11, 0, 12, 192, 0, 2, 1, 10, 0, 0, 1, 0x0f, 0xa0, 0x01, 0xbb]);
        let header = encode(ProxyVersion::V2, ends("[::1]:1", "[::2]:2"));
        assert_eq!((&header[12..16], header.len()), (&[0x21, 0x21, 0, 36][..], 52));
        assert_eq!(&encode(ProxyVersion::V2, None)[12..], [0x20, 0, 0, 0]);
    }
}
