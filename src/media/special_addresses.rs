//! The addresses that are not globally reachable unicast by IANA's special-purpose registries for IPv4 and IPv6 (RFC
//! 6890 and its updates), and addresses that look public but belong to a cloud.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// The denied networks. Of IPv6 only 2000::/3 is assigned (RFC 4291), so the other seven eighths are denied as a whole:
/// loopback, link-local, unique local (with the metadata services of AWS and Google), multicast and the rest.
///
/// IPv4 addresses inside IPv6 ones (mapped, compatible, translated, NAT64, 6to4, Teredo) are denied as a whole, public
/// ones too. Which IPv4 address is meant depends on the translators of the network, so it cannot be judged here, and a
/// host with an IPv4 address is reached by that one. Where only NAT64 leads to IPv4, origins must be configured.
pub const SPECIAL: [IpNet; 24] = [
    v4([0, 0, 0, 0], 8),        // this network
    v4([10, 0, 0, 0], 8),       // private
    v4([100, 64, 0, 0], 10),    // shared by a carrier's customers; Alibaba's metadata service
    v4([127, 0, 0, 0], 8),      // loopback
    v4([168, 63, 129, 16], 32), // Azure's host: in no registry, and answers every virtual machine
    v4([169, 254, 0, 0], 16),   // link-local; the metadata services of most clouds
    v4([172, 16, 0, 0], 12),    // private
    v4([192, 0, 0, 0], 24),     // protocol assignments; Oracle's metadata service
    v4([192, 0, 2, 0], 24),     // documentation
    v4([192, 88, 99, 0], 24),   // relays of 6to4
    v4([192, 168, 0, 0], 16),   // private
    v4([198, 18, 0, 0], 15),    // benchmarks
    v4([198, 51, 100, 0], 24),  // documentation
    v4([203, 0, 113, 0], 24),   // documentation
    v4([224, 0, 0, 0], 4),      // multicast
    v4([240, 0, 0, 0], 4),      // reserved; broadcast
    v6([0, 0], 3),              // ::, ::1, IPv4 mapped, compatible and translated, NAT64, discard
    v6([0x2001, 0], 23),        // protocol assignments: Teredo, benchmarks, ORCHID
    v6([0x2001, 0xdb8], 32),    // documentation
    v6([0x2002, 0], 16),        // 6to4
    v6([0x3ffe, 0], 16),        // the former 6bone, returned (RFC 3701)
    v6([0x3fff, 0], 20),        // documentation
    v6([0x4000, 0], 2),         // segment routing and unassigned
    v6([0x8000, 0], 1),         // unique local, link-local, site-local, multicast
];

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> IpNet {
    IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix)
}

/// Makes a network from the first 32 bits of its address.
const fn v6([a, b]: [u16; 2], prefix: u8) -> IpNet {
    IpNet::new_assert(IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0)), prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_special(address: &str) -> bool {
        let address: IpAddr = address.parse().unwrap();
        SPECIAL.iter().any(|network| network.contains(&address))
    }

    #[test]
    fn every_special_block_of_the_registries_is_denied_from_its_first_to_its_last_address() {
        for block in [
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "::/128",
            "::1/128",
            "::/96",
            "::ffff:0:0/96",
            "::ffff:0:0:0/96",
            "64:ff9b::/96",
            "64:ff9b:1::/48",
            "100::/64",
            "100:0:0:1::/64",
            "2001::/23",
            "2001:db8::/32",
            "2002::/16",
            "3fff::/20",
            "5f00::/16",
            "fc00::/7",
            "fe80::/10",
            "fec0::/10",
            "ff00::/8",
        ] {
            let block: IpNet = block.parse().unwrap();
            for address in [block.network(), block.broadcast()] {
                assert!(is_special(&address.to_string()), "{address} of {block}");
            }
        }
    }

    #[test]
    fn the_addresses_beside_the_blocks_are_public() {
        for address in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.101.0",
            "203.0.112.255",
            "223.255.255.255",
            "2000::",
            "2001:200::",
            "2001:db7:ffff::",
            "2001:db9::",
            "2001:ffff::",
            "2003::",
            "2606:4700::1111",
            "3ffd:ffff::",
            "3fff:1000::",
        ] {
            assert!(!is_special(address), "{address}");
        }
    }
}
