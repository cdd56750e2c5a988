//! Whom to believe: certificate authorities, and one TLS configuration for all clients made of them.
//!
//! Always holds: TLS 1.2 or newer, every certificate checked against these authorities and the host's name; HTTP/1.1 is
//! the only protocol offered.
//! Never does: read the system's certificate store or the environment, or offer a way around a failed check.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Authorities, and the TLS configuration that believes them. Cloned cheap; clones share the cache of TLS sessions.
#[derive(Clone)]
pub struct Roots {
    tls: Arc<ClientConfig>,
    n_authorities: usize,
}

impl Roots {
    /// The public authorities that browsers believe, as they were when this program was built.
    pub fn public() -> Roots {
        Roots::of(public_store())
    }

    /// The public ones and more, as PEM: an exchange of one's own, a private authority.
    pub fn public_and(pem: &[u8]) -> Result<Roots, String> {
        let mut store = public_store();
        add(&mut store, pem)?;
        Ok(Roots::of(store))
    }

    /// No authority but these, as PEM.
    pub fn only(pem: &[u8]) -> Result<Roots, String> {
        let mut store = RootCertStore::empty();
        add(&mut store, pem)?;
        Ok(Roots::of(store))
    }

    /// The configuration of every client connection.
    pub fn tls(&self) -> &Arc<ClientConfig> {
        &self.tls
    }

    fn of(store: RootCertStore) -> Roots {
        let n_authorities = store.len();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            // Fails only for a provider without cipher suites of these versions; ring has them for both.
            .expect("ring speaks TLS 1.2 and 1.3")
            .with_root_certificates(store)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Roots { tls: Arc::new(tls), n_authorities }
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Roots({} authorities)", self.n_authorities)
    }
}

fn public_store() -> RootCertStore {
    webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()
}

fn add(store: &mut RootCertStore, pem: &[u8]) -> Result<(), String> {
    let mut n_added = 0;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let number = n_added + 1;
        let certificate = certificate.map_err(|error| format!("certificate {number} is not PEM: {error}"))?;
        store.add(certificate).map_err(|error| format!("certificate {number} is no authority's: {error}"))?;
        n_added += 1;
    }
    if n_added == 0 {
        return Err("there is no certificate in it: it must hold -----BEGIN CERTIFICATE----- blocks".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_authorities_come_beside_the_public_ones_or_alone() {
        let own = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap().cert.pem();
        let n_public = Roots::public().n_authorities;
        assert!(n_public > 50);
        assert_eq!(Roots::public_and(own.as_bytes()).unwrap().n_authorities, n_public + 1);
        assert_eq!(Roots::only(own.as_bytes()).unwrap().n_authorities, 1);
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in ["", "hello", broken, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
            assert!(Roots::only(pem.as_bytes()).is_err(), "{pem}");
            assert!(Roots::public_and(pem.as_bytes()).is_err(), "{pem}");
        }
    }
}
