//! What counts as this machine alone: one rule for the configuration, the HTTP server and what is announced.

use std::net::IpAddr;

/// Whether nobody but this machine reaches the address. Of version 4 it may be written as one of version 6.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether a host is this machine, by its address or by the one name that stands for it everywhere.
pub fn is_loopback_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_is_one_however_it_is_written() {
        for (host, expected) in [
            ("localhost", true),
            ("LocalHost", true),
            ("127.0.0.1", true),
            ("127.8.8.8", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("::ffff:7f00:1", true),
            ("0:0:0:0:0:0:0:1", true),
            ("0.0.0.0", false),
            ("::", false),
            ("128.0.0.1", false),
            ("::ffff:192.168.0.1", false),
            ("::ffff:0.0.0.0", false),
            ("localhost.example.org", false),
            ("[::1]", false),
            ("", false),
        ] {
            assert_eq!(is_loopback_host(host), expected, "{host}");
        }
    }
}
