//! Signatures: HMAC-SHA256 over timestamp, key, window and payload, in lower-case hex.
//!
//! Always holds: what is signed is what is sent, byte for byte. Never does: show a key or a signature.

use ring::hmac;

use crate::domain::secret::{ApiKey, Secret};
use crate::domain::time::Wall;

/// The signature of a text.
pub fn signature(secret: &Secret, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let tag = hmac::sign(&key, text.as_bytes());
    let digit = |four_bits: u8| char::from(b"0123456789abcdef"[usize::from(four_bits & 15)]);
    tag.as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// The headers of a signed request. `payload`: the query as sent, without `?`, or the body as sent.
pub fn headers(key: &ApiKey, now: Wall, recv_window_ms: u64, payload: &str) -> Vec<(&'static str, String)> {
    let (name, now) = (key.key.expose(), now.millis());
    let signature = signature(&key.secret, &format!("{now}{name}{recv_window_ms}{payload}"));
    vec![
        ("X-BAPI-API-KEY", name.to_owned()),
        ("X-BAPI-TIMESTAMP", now.to_string()),
        ("X-BAPI-RECV-WINDOW", recv_window_ms.to_string()),
        ("X-BAPI-SIGN-TYPE", "2".to_owned()),
        ("X-BAPI-SIGN", signature),
    ]
}

/// What a private socket signs to log in, `expires` being a moment ahead.
pub fn login(secret: &Secret, expires: Wall) -> String {
    signature(secret, &format!("GET/realtime{}", expires.millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ApiKey {
        ApiKey { key: Secret::new("XXXXXXXXXX".into()), secret: Secret::new("YYYYYYYYYY".into()) }
    }

    #[test]
    fn signatures_are_exact_to_the_byte() {
        let cases = [
            (
                "category=option&symbol=BTC-29JUL22-25000-C",
                "37813c67fafb3017e92354eb88f218e7e52a98f9f5eb74cfcf0b21f17edb143b",
            ),
            (
                r#"{"category":"linear","symbol":"BTCUSDT","orderLinkId":"rk-0001"}"#,
                "d8c842bdf781d370aba4a6b4aa69b6031f7271189c653b289936292ec4cb8383",
            ),
        ];
        for (payload, expected) in cases {
            let headers = headers(&key(), Wall::from_millis(1_658_384_314_791), 5_000, payload);
            assert_eq!(headers.iter().find(|(name, _)| *name == "X-BAPI-SIGN").unwrap().1, expected, "{payload}");
        }
        assert_eq!(
            login(&key().secret, Wall::from_millis(1_662_350_400_000)),
            "9c4c0629fddfee26ca0da50a7fed51968fce6935d34b02e772d3bd0c34327bd1"
        );
    }
}
