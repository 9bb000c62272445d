//! Which addresses are of the public internet, which of private networks, and which are nobody's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the internet.
    Public,
    /// In a private network, or on this machine.
    Private,
    /// No host of anybody's network: link-local addresses, behind which clouds keep their instances' credentials, and such that
    /// name no single host.
    Nowhere,
}

/// Clouds' metadata services that are not link-local.
const METADATA: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Where this address is. An IPv4 address within an IPv6 one is where the IPv4 one is.
pub(crate) fn place(address: IpAddr) -> Place {
    if METADATA.contains(&address) {
        return Place::Nowhere;
    }
    match address {
        IpAddr::V4(address) => of_v4(address),
        IpAddr::V6(address) => match within(address) {
            Some(address) => place(IpAddr::V4(address)),
            None => of_v6(address),
        },
    }
}

fn of_v4(address: Ipv4Addr) -> Place {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        // This network; multicast, reserved and broadcast; link-local; for benchmarks; for protocols and examples.
        (0 | 224.., ..)
        | (169, 254, _)
        | (198, 18..=19, _)
        | (192, 0, 0 | 2)
        | (198, 51, 100)
        | (203, 0, 113) => Place::Nowhere,
        // The last ones are shared by a provider's customers.
        (10 | 127, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) => Place::Private,
        _ => Place::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Place {
    let segments = address.segments();
    let is_example = matches!(segments, [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..]);
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] | [0xfc00..=0xfdff, ..] => Place::Private,
        // All that is given out today.
        [0x2000..=0x3fff, ..] if !is_example => Place::Public,
        _ => Place::Nowhere,
    }
}

/// The IPv4 address that a mapped, translated (`64:ff9b::/96`), 6to4 or Teredo address stands for.
fn within(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(v4(high, low))
        }
        // Compatible with IPv4, as it was once; :: and ::1 are not.
        [0, 0, 0, 0, 0, 0, high, low] if high > 0 => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        [0x2001, 0, .., high, low] => Some(v4(!high, !low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_where_it_is() {
        let cases = [
            (
                Place::Public,
                "1.1.1.1 8.8.8.8 100.63.0.1 100.128.0.1 172.15.0.1 172.32.0.1 192.169.0.1 2606:4700::1111 2a00::1",
            ),
            (
                Place::Private,
                "127.0.0.1 127.9.9.9 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 ::1 fd00::1 fc00::1",
            ),
            (
                Place::Private,
                "::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::10.0.0.1 2002:0a00:0001:: ::10.0.0.1 2001::f5ff:fffe",
            ),
            (
                Place::Nowhere,
                "0.0.0.0 0.1.2.3 169.254.169.254 255.255.255.255 224.0.0.1 240.0.0.1 198.18.0.1 192.0.2.1 :: fe80::1",
            ),
            (
                Place::Nowhere,
                "ff02::1 ::ffff:169.254.169.254 ::ffff:0.0.0.0 fd00:ec2::254 100.100.100.200 2001:db8::1 fec0::1",
            ),
            (Place::Public, "::ffff:1.1.1.1 64:ff9b::1.1.1.1"),
        ];
        for (expected, addresses) in cases {
            for text in addresses.split(' ') {
                let address = text.parse().expect("an address");
                assert_eq!(place(address), expected, "{text}");
            }
        }
    }
}
