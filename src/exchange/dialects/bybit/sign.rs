//! Signatures: HMAC-SHA256 over the exact bytes, as lower-case hex.
//!
//! Never does: show a secret or a wanted signature.

use ring::hmac;

/// The signature of a text, for clients that tests play.
#[cfg(test)]
pub(super) fn signature(secret: &str, text: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, text);
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a signature fits.
pub(super) fn fits(secret: &str, text: &[u8], claimed: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    unhex(claimed).is_some_and(|claimed| hmac::verify(&key, text, &claimed).is_ok())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "YYYYYYYYYY";
    const HEAD: &str = "1658384314791XXXXXXXXXX5000";

    #[test]
    fn signatures_are_those_worked_out_elsewhere() {
        for (text, signed) in [
            (
                format!("{HEAD}category=option&symbol=BTC-29JUL22-25000-C"),
                "37813c67fafb3017e92354eb88f218e7e52a98f9f5eb74cfcf0b21f17edb143b",
            ),
            (
                format!("{HEAD}{{\"category\":\"linear\",\"symbol\":\"BTCUSDT\",\"orderLinkId\":\"rk-0001\"}}"),
                "d8c842bdf781d370aba4a6b4aa69b6031f7271189c653b289936292ec4cb8383",
            ),
            (
                "GET/realtime1662350400000".to_owned(),
                "9c4c0629fddfee26ca0da50a7fed51968fce6935d34b02e772d3bd0c34327bd1",
            ),
        ] {
            assert_eq!(signature(SECRET, text.as_bytes()), signed);
            assert!(fits(SECRET, text.as_bytes(), signed));
            assert!(!fits(SECRET, format!("{text} ").as_bytes(), signed), "one byte more");
            assert!(!fits("YYYYYYYYYZ", text.as_bytes(), signed), "another secret");
            assert!(!fits(SECRET, text.as_bytes(), &signed.to_uppercase()), "lower case only");
            assert!(!fits(SECRET, text.as_bytes(), &signed[1..]));
        }
        assert!(!fits(SECRET, b"", ""));
    }
}
