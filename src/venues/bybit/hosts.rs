//! Addresses: the venue's worlds, regional sites and local exchanges.
//!
//! Always holds: addresses without TLS lead to this machine only, and an account never has one foot here and one at the
//! real venue: keys and signatures of the one must not reach the other.

use super::symbols::Category;
use crate::domain::settings::{Connection, Environment};

/// Where an account is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// Scheme, host and port of requests.
    pub rest: String,
    /// Public streams, up to and with the category.
    public: String,
    /// The account's stream.
    pub private: String,
    /// Whether it is a local exchange: its times may be shorter than the venue's.
    pub is_loopback: bool,
}

impl Hosts {
    /// From the operator's settings. `has_key`: whether the private stream will be opened.
    pub fn new(connection: &Connection, has_key: bool) -> Result<Hosts, Vec<String>> {
        let (rest, stream) = match connection.environment {
            Environment::Mainnet => ("https://api.bybit.com", "wss://stream.bybit.com"),
            Environment::Testnet => ("https://api-testnet.bybit.com", "wss://stream-testnet.bybit.com"),
            // Play money on the real market: the public streams are the real ones.
            Environment::Demo => ("https://api-demo.bybit.com", "wss://stream.bybit.com"),
        };
        let private = match connection.environment {
            Environment::Demo => "wss://stream-demo.bybit.com",
            Environment::Mainnet | Environment::Testnet => stream,
        };
        let mut errors = Vec::new();
        let mut checked = |name: &str, given: &Option<String>, usual: String, schemes: (&str, &str)| {
            let Some(given) = given else { return (usual, false) };
            match check(given, schemes) {
                Ok(is_loopback) => (given.trim_end_matches('/').to_owned(), is_loopback),
                Err(why) => {
                    errors.push(format!("{name} {why}"));
                    (usual, false)
                }
            }
        };
        let (rest, rest_here) = checked("rest_url", &connection.rest_url, rest.to_owned(), ("https://", "http://"));
        let usual_public = format!("{stream}/v5/public/linear");
        let (public, public_here) =
            checked("ws_public_url", &connection.ws_public_url, usual_public, ("wss://", "ws://"));
        let usual_private = format!("{private}/v5/private");
        let (private, private_here) =
            checked("ws_private_url", &connection.ws_private_url, usual_private, ("wss://", "ws://"));
        if rest.split_once("://").is_some_and(|(_, host)| host.contains('/')) {
            errors.push(format!("rest_url must be scheme, host and port alone, without a path: `{rest}`"));
        }
        if !Category::ALL.iter().any(|category| public.rsplit('/').next() == Some(category.word())) {
            errors.push(format!(
                "ws_public_url must go up to and with the category, for example wss://stream.bybit.com/v5/public/spot: \
                 `{public}`"
            ));
        }
        if errors.is_empty() && (rest_here != public_here || (has_key && rest_here != private_here)) {
            errors.push(
                "rest_url, ws_public_url and ws_private_url must all lead to this machine, or none of them: set all \
                 three for a local exchange"
                    .into(),
            );
        }
        if errors.is_empty() { Ok(Hosts { rest, public, private, is_loopback: rest_here }) } else { Err(errors) }
    }

    /// The public stream of a category.
    pub fn public(&self, category: Category) -> String {
        // `new` saw a category at the end.
        let stem = self.public.rsplit_once('/').map_or(self.public.as_str(), |(stem, _)| stem);
        format!("{stem}/{}", category.word())
    }
}

/// Whether an address may be used, and whether it leads to this machine.
fn check(address: &str, (with_tls, without_tls): (&str, &str)) -> Result<bool, String> {
    let (rest, is_plain) = match (address.strip_prefix(with_tls), address.strip_prefix(without_tls)) {
        (Some(rest), _) => (rest, false),
        (None, Some(rest)) => (rest, true),
        (None, None) => return Err(format!("must begin with {with_tls} (or {without_tls} for this machine)")),
    };
    if !address.chars().all(|letter| letter.is_ascii_graphic()) || address.contains(['?', '#', '@', '\\']) {
        return Err("must be a plain address: no spaces, no user name, no query".into());
    }
    let authority = rest.split('/').next().unwrap_or("");
    let host = match authority.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    };
    if host.is_empty() {
        return Err("has no host".into());
    }
    let is_loopback = is_loopback(host);
    if is_plain && !is_loopback {
        return Err(format!("without TLS may only lead to this machine (127.0.0.1, ::1, localhost): use {with_tls}"));
    }
    Ok(is_loopback)
}

fn is_loopback(host: &str) -> bool {
    let parts: Vec<&str> = host.split('.').collect();
    let is_four = parts.len() == 4 && parts.iter().all(|part| part.parse::<u8>().is_ok());
    host.eq_ignore_ascii_case("localhost") || host == "::1" || (is_four && parts.first() == Some(&"127"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(environment: Environment, rest: &str, public: &str, private: &str) -> Connection {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Connection {
            environment,
            rest_url: given(rest),
            ws_public_url: given(public),
            ws_private_url: given(private),
            rate_multiple: 1,
        }
    }

    #[test]
    fn each_world_has_its_own_addresses() {
        let of = |environment| Hosts::new(&connection(environment, "", "", ""), true).unwrap();
        let main = of(Environment::Mainnet);
        assert_eq!(main.rest, "https://api.bybit.com");
        assert_eq!(main.public(Category::Spot), "wss://stream.bybit.com/v5/public/spot");
        assert_eq!(main.public(Category::Linear), "wss://stream.bybit.com/v5/public/linear");
        assert_eq!(main.private, "wss://stream.bybit.com/v5/private");
        let test = of(Environment::Testnet);
        assert_eq!(test.rest, "https://api-testnet.bybit.com");
        assert_eq!(test.private, "wss://stream-testnet.bybit.com/v5/private");
        let demo = of(Environment::Demo);
        assert_eq!(demo.rest, "https://api-demo.bybit.com");
        assert_eq!(demo.public(Category::Spot), "wss://stream.bybit.com/v5/public/spot", "the real market");
        assert_eq!(demo.private, "wss://stream-demo.bybit.com/v5/private");
        assert!(!main.is_loopback && !demo.is_loopback);
    }

    #[test]
    fn a_public_address_serves_both_categories() {
        let local = "ws://127.0.0.1:9/v5/public/spot";
        let local = connection(Environment::Mainnet, "http://127.0.0.1:9/", local, "ws://localhost:9/v5/private");
        let hosts = Hosts::new(&local, true).unwrap();
        assert_eq!(hosts.rest, "http://127.0.0.1:9");
        assert_eq!(hosts.public(Category::Linear), "ws://127.0.0.1:9/v5/public/linear");
        assert_eq!(hosts.public(Category::Spot), "ws://127.0.0.1:9/v5/public/spot");
        assert!(hosts.is_loopback);
        let region = connection(
            Environment::Mainnet,
            "https://api.bybit.nl",
            "wss://stream.bybit.nl/v5/public/linear",
            "wss://stream.bybit.nl/v5/private",
        );
        assert_eq!(Hosts::new(&region, true).unwrap().public(Category::Spot), "wss://stream.bybit.nl/v5/public/spot");
    }

    #[test]
    fn what_could_leak_or_mislead_is_refused() {
        let (here, there) = ("ws://127.0.0.1:9/v5/public/spot", "wss://stream.bybit.com/v5/private");
        for (rest, public, private) in [
            ("http://api.bybit.com", "", ""),
            ("http://127.0.0.1.evil.com", "", ""),
            ("http://127.0.0.1@evil.com", "", ""),
            ("https://user:word@api.bybit.com", "", ""),
            ("ftp://api.bybit.com", "", ""),
            ("https://", "", ""),
            ("https://api.bybit.com/v5", "", ""),
            ("", "wss://stream.bybit.com/v5/public", ""),
            ("", "ws://stream.bybit.com/v5/public/spot", ""),
            ("", "", "ws://10.0.0.1/v5/private"),
            ("http://127.0.0.1:9", "", ""),
            ("http://127.0.0.1:9", here, there),
            ("", here, ""),
        ] {
            let refused = Hosts::new(&connection(Environment::Mainnet, rest, public, private), true);
            assert!(refused.is_err(), "{rest} {public} {private}");
        }
        let without_key = connection(Environment::Mainnet, "http://127.0.0.1:9", here, "");
        assert!(Hosts::new(&without_key, false).is_ok(), "no private stream, nothing to leak");
    }
}
