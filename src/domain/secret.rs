//! Secrets: keys of venue accounts.
//!
//! Always holds: a secret cannot be shown, printed, written or compared by accident, and its memory is wiped when it is
//! dropped.

use std::fmt;

use zeroize::Zeroizing;

/// A text nobody may see.
///
/// ```compile_fail
/// let secret = lastorders::domain::secret::Secret::new("k".into());
/// println!("{secret}");
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text in.
    pub fn new(text: String) -> Secret {
        Secret(Zeroizing::new(text))
    }

    /// The text, for the one place that signs with it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(..)")
    }
}

/// The key of a venue account: its name goes over the wire, its secret does not.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// The key's name at the venue. Not secret by itself, but shown to nobody without need.
    pub key: Secret,
    /// What we sign with.
    pub secret: Secret,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_nothing_of_itself() {
        let key = ApiKey { key: Secret::new("canary-1".into()), secret: Secret::new("canary-2".into()) };
        assert!(!format!("{key:?}").contains("canary"));
        assert_eq!(key.secret.expose(), "canary-2");
    }
}
