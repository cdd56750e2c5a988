//! Addresses that stand in for a venue's own.
//!
//! Always holds: an accepted address is encrypted, or leads to this machine; it carries no user name, no password and
//! no query, so it may be shown. A refused one is repeated only where that is sure.

use std::net::IpAddr;

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Requests: scheme, host and port.
    Rest,
    /// A stream: a path may follow.
    Stream,
}

/// Why an address is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadAddress {
    /// It holds what may be a secret.
    pub(super) is_private: bool,
    /// What is wrong.
    pub(super) problem: &'static str,
    /// What is allowed.
    pub(super) allowed: &'static str,
}

const REST_FORM: &str = "Allowed: https://HOST or https://HOST:PORT; http:// for addresses of this machine only.";
const STREAM_FORM: &str =
    "Allowed: wss://HOST, with :PORT and /PATH where needed; ws:// for addresses of this machine only.";

/// The address without a slash at its end.
pub(super) fn checked(text: &str, purpose: Purpose) -> Result<String, BadAddress> {
    let (safe, plain, allowed) = match purpose {
        Purpose::Rest => ("https", "http", REST_FORM),
        Purpose::Stream => ("wss", "ws", STREAM_FORM),
    };
    // What has no scheme may be anything, a key put into the wrong variable too.
    let wrong = |problem| BadAddress { is_private: !text.contains("://"), problem, allowed };
    if text.contains(['@', '?', '#']) {
        let problem = "An address has no user, no password and no query here.";
        return Err(BadAddress { is_private: true, problem, allowed });
    }
    if text.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'\\') {
        return Err(wrong("This is no address."));
    }
    let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| [safe, plain].contains(scheme)) else {
        return Err(wrong("This is no address for this."));
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let Some(host) = host_of(authority) else {
        return Err(wrong("This names no host, or no possible port."));
    };
    if purpose == Purpose::Rest && !path.trim_end_matches('/').is_empty() {
        return Err(wrong("A path cannot follow here: the requests have their own."));
    }
    if scheme == plain && !is_this_machine(host) {
        return Err(wrong("Keys and orders would leave this machine unencrypted."));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Whether an accepted address leads to this machine.
pub(crate) fn is_loopback(address: &str) -> bool {
    let rest = address.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    host_of(authority).is_some_and(is_this_machine)
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => {
            let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
            (Some(host).filter(|host| !host.is_empty() && host.bytes().all(is_plain))?, port)
        }
    };
    match port {
        Some(port) if !port.bytes().all(|byte| byte.is_ascii_digit()) => None,
        Some(port) => port.parse::<u16>().ok().filter(|port| *port > 0).map(|_| host),
        None => Some(host),
    }
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encrypted_addresses_and_this_machine_are_accepted() {
        use Purpose::{Rest, Stream};
        for (purpose, text, expected, is_here) in [
            (Rest, "https://api.bybit.com", "https://api.bybit.com", false),
            (Rest, "https://api.bybit.nl:8443/", "https://api.bybit.nl:8443", false),
            (Rest, "http://127.0.0.1:8301", "http://127.0.0.1:8301", true),
            (Rest, "http://127.9.9.9", "http://127.9.9.9", true),
            (Rest, "http://[::1]:8301/", "http://[::1]:8301", true),
            (Rest, "http://localhost:1", "http://localhost:1", true),
            (Rest, "https://127.0.0.1:8301", "https://127.0.0.1:8301", true),
            (Stream, "wss://stream.bybit.com/v5/public/linear", "wss://stream.bybit.com/v5/public/linear", false),
            (Stream, "ws://127.0.0.1:8301/v5/private/", "ws://127.0.0.1:8301/v5/private", true),
            (Stream, "wss://stream.bybit.eu", "wss://stream.bybit.eu", false),
        ] {
            assert_eq!(checked(text, purpose).as_deref(), Ok(expected), "{text}");
            assert_eq!(is_loopback(expected), is_here, "{text}");
        }
    }

    #[test]
    fn what_would_leave_unencrypted_or_is_no_address_is_refused() {
        use Purpose::{Rest, Stream};
        for (purpose, text, word) in [
            (Rest, "http://api.bybit.com", "unencrypted"),
            (Rest, "http://10.0.0.1:8301", "unencrypted"),
            (Rest, "http://127.0.0.1.evil.example", "unencrypted"),
            (Rest, "http://localhost.evil.example", "unencrypted"),
            (Rest, "http://0.0.0.0:1", "unencrypted"),
            (Rest, "http://2130706433", "unencrypted"),
            (Stream, "ws://stream.bybit.com", "unencrypted"),
            (Rest, "wss://api.bybit.com", "no address"),
            (Stream, "https://stream.bybit.com", "no address"),
            (Rest, "api.bybit.com", "no address"),
            (Rest, "ftp://api.bybit.com", "no address"),
            (Rest, "HTTPS://api.bybit.com", "no address"),
            (Rest, "https://", "names no host"),
            (Rest, "https://:443", "names no host"),
            (Rest, "https://a:0", "no possible port"),
            (Rest, "https://a:65536", "no possible port"),
            (Rest, "https://a:+1", "no possible port"),
            (Rest, "https://a:", "no possible port"),
            (Rest, "https://[::1", "names no host"),
            (Rest, "https://[x]:1", "names no host"),
            (Rest, "https://api.bybit.com/v5", "A path cannot follow"),
            (Rest, "https://api bybit.com", "no address"),
            (Rest, "https://api.bybit.com\\x", "no address"),
            (Rest, "https://user:word@api.bybit.com", "no user, no password"),
            (Rest, "https://api.bybit.com?token=x", "no query"),
            (Rest, "http://127.0.0.1#@api.bybit.com", "no user, no password"),
        ] {
            let refused = checked(text, purpose).expect_err(text);
            assert!(refused.problem.contains(word), "{text}: {refused:?}");
            assert_eq!(refused.is_private, text.contains(['@', '?', '#']) || !text.contains("://"), "{text}");
        }
    }
}
