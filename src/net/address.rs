//! Where a venue lives: scheme, host, port and path, parsed once.
//!
//! Always holds: an address without TLS is a loopback address, and it was one when it was parsed (a name other than
//! `localhost` never is); the host is lower-case and needs no escaping.
//! Never does: hold a user, a password or a fragment; repeat an address it refused when it may hold a secret.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How to talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP in plain text.
    Http,
    /// HTTP over TLS.
    Https,
    /// WebSocket in plain text.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Scheme {
    /// The word before `://`.
    pub fn word(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Ws => "ws",
            Scheme::Wss => "wss",
        }
    }

    /// Whether it goes over TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Scheme::Https | Scheme::Wss)
    }

    fn port(self) -> u16 {
        if self.is_tls() { 443 } else { 80 }
    }
}

/// A parsed address.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    scheme: Scheme,
    /// Without brackets.
    host: String,
    ip: Option<IpAddr>,
    port: u16,
    path_and_query: String,
}

/// Why an address was refused, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAddress(String);

impl Address {
    /// Parses `scheme://host[:port][/path][?query]`.
    pub fn parse(text: &str) -> Result<Address, BadAddress> {
        let refuse = |why: &str| Err(BadAddress(format!("the address {} {why}", shown(text))));
        let Some((scheme, rest)) = text.split_once("://") else {
            return refuse("has no scheme: write it as https://host or wss://host");
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "ws" => Scheme::Ws,
            "wss" => Scheme::Wss,
            _ => return refuse("has a scheme that is not known: use https, wss, or http and ws to loopback"),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return refuse("holds a user or a password: keys belong into the configuration of the account");
        }
        if path.contains('#') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refuse("has characters in its path that no address can have: percent-encode them");
        }
        let Some((host, port)) = host_and_port(authority) else {
            return refuse("has a port that is no number from 1 to 65535");
        };
        let Some((host, ip)) = parsed_host(host) else {
            return refuse("has a host that is neither a name nor an IP address");
        };
        let path_and_query = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let address = Address { scheme, host, ip, port: port.unwrap_or(scheme.port()), path_and_query };
        if !scheme.is_tls() && !address.is_loopback() {
            let tls = if scheme == Scheme::Http { "https" } else { "wss" };
            return refuse(&format!(
                "would send keys and orders in plain text: use {tls} (plain text goes to 127.0.0.1, ::1 and localhost only)"
            ));
        }
        Ok(address)
    }

    /// How to talk.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also where the text left it out.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query; `/` if the text had none.
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }

    /// Whether it stays on this machine.
    pub fn is_loopback(&self) -> bool {
        self.fixed().is_some_and(|ips| ips.iter().all(IpAddr::is_loopback))
    }

    /// Host, and port where it is not the scheme's own: what the `Host` header says.
    pub fn authority(&self) -> String {
        let host = match self.ip {
            Some(IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => self.host.clone(),
        };
        if self.port == self.scheme.port() { host } else { format!("{host}:{}", self.port) }
    }

    /// Scheme and authority, with nothing behind them.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme.word(), self.authority())
    }

    /// The addresses of a host that needs no look-up.
    pub fn fixed(&self) -> Option<Vec<IpAddr>> {
        if let Some(ip) = self.ip {
            return Some(vec![ip]);
        }
        (self.host == "localhost").then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
    }
}

impl fmt::Display for Address {
    /// Without the query: it may hold a token.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path_and_query.split('?').next().unwrap_or("/");
        write!(out, "{}{}", self.origin(), if path == "/" { "" } else { path })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Address({self})")
    }
}

/// As much of a refused text as may be repeated.
fn shown(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or("");
    match text.rsplit_once('@') {
        Some((_, host)) => format!("\"..@{}\"", host.escape_debug()),
        None => format!("\"{}\"", text.escape_debug()),
    }
}

/// The host, and the port if one is given.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.find(']')) {
        Some(close) => {
            let (host, rest) = authority.split_at(close + 2);
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return None,
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    match port {
        None => Some((host, None)),
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            port.parse().ok().filter(|port| *port != 0).map(|port| (host, Some(port)))
        }
        Some(_) => None,
    }
}

fn parsed_host(host: &str) -> Option<(String, Option<IpAddr>)> {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let ip: Ipv6Addr = inner.parse().ok()?;
        return Some((ip.to_string(), Some(ip.into())));
    }
    let host = host.to_ascii_lowercase();
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Some((host, Some(ip.into())));
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label that begins with a digit is one of the old ways to write an IPv4 address (0x7f.1, 127.1).
    let ends_in_a_number = host.rsplit('.').next().is_some_and(|label| label.starts_with(|c: char| c.is_ascii_digit()));
    (host.len() <= 253 && host.split('.').all(is_label) && !ends_in_a_number).then_some((host, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_once() {
        for (text, host, port, path, authority) in [
            ("https://api.bybit.com", "api.bybit.com", 443, "/", "api.bybit.com"),
            ("https://API.Bybit.com:443/", "api.bybit.com", 443, "/", "api.bybit.com"),
            (
                "wss://stream.bybit.com/v5/public/linear",
                "stream.bybit.com",
                443,
                "/v5/public/linear",
                "stream.bybit.com",
            ),
            ("wss://a.b:9443/ws?streams=x", "a.b", 9443, "/ws?streams=x", "a.b:9443"),
            ("wss://a.b?x=1", "a.b", 443, "/?x=1", "a.b"),
            ("http://127.0.0.1:8080", "127.0.0.1", 8080, "/", "127.0.0.1:8080"),
            ("http://127.9.9.9", "127.9.9.9", 80, "/", "127.9.9.9"),
            ("ws://localhost:9", "localhost", 9, "/", "localhost:9"),
            ("http://[::1]:80", "::1", 80, "/", "[::1]"),
            ("https://[2001:DB8::1]:444", "2001:db8::1", 444, "/", "[2001:db8::1]:444"),
        ] {
            let address = Address::parse(text).unwrap();
            let parts = (address.host(), address.port(), address.path_and_query(), address.authority());
            assert_eq!(parts, (host, port, path, authority.to_owned()), "{text}");
        }
    }

    #[test]
    fn plain_text_goes_to_loopback_only() {
        for host in [
            "api.bybit.com",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "[::ffff:127.0.0.1]",
            "128.0.0.1",
            "localhost.example.com",
            "127.0.0.1.example.com",
        ] {
            for scheme in ["http", "ws"] {
                let refused = Address::parse(&format!("{scheme}://{host}")).unwrap_err().to_string();
                assert!(refused.contains("plain text"), "{refused}");
            }
            for scheme in ["https", "wss"] {
                assert!(!Address::parse(&format!("{scheme}://{host}")).unwrap().is_loopback(), "{host}");
            }
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "api.bybit.com",
            "ftp://a.b",
            "https://",
            "https:///path",
            "https://a..b",
            "https://a b",
            "https://a.b:0",
            "https://a.b:",
            "https://a.b:65536",
            "https://a.b:1:2",
            "https://a.b:+1",
            "https://[::1",
            "https://[::1]x",
            "https://[::g]",
            "https://::1",
            "https://0x7f.1",
            "https://127.1",
            "https://2130706433",
            "https://256.1.1.1",
            "https://-a.b",
            "https://a.b/x#y",
            "https://a.b/x y",
            "https://a.b/\r\nHost: c",
            "https://ä.b",
            "https://a.b.",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_text_repeats_what_may_be_secret() {
        let refused = Address::parse("https://me:canary@a.b/?token=canary").unwrap_err().to_string();
        assert!(refused.contains("a.b") && !refused.contains("canary"), "{refused}");
        let address = Address::parse("wss://a.b/ws?listen=canary").unwrap();
        assert!(!format!("{address} {address:?}").contains("canary"));
        assert_eq!(address.to_string(), "wss://a.b/ws");
    }
}
