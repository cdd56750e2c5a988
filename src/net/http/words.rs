//! What went wrong, in a sentence that says what to do.
//!
//! Never does: repeat a path, a header or a body. They hold signatures.

use rustls::{AlertDescription, CertificateError, Error as TlsError};

use super::line::Fault;

pub(super) const CLOSED_IN_HANDSHAKE: &str =
    "it closed the connection during the TLS handshake: check address and port, and what stands in between";

/// Why TLS was refused, and what to do.
pub(super) fn tls(error: &TlsError, host: &str) -> String {
    match error {
        TlsError::InvalidCertificate(bad) => certificate(bad, host),
        TlsError::InvalidMessage(_) => "it does not speak TLS: check scheme and port of the address".to_owned(),
        TlsError::PeerIncompatible(why) => {
            format!("it offers no TLS that is safe enough (1.2 or newer is needed): {why:?}")
        }
        TlsError::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "it does not speak HTTP/1.1 over TLS: check the address".to_owned()
        }
        TlsError::AlertReceived(AlertDescription::ProtocolVersion) => {
            "it offers no TLS that is safe enough (1.2 or newer is needed)".to_owned()
        }
        TlsError::AlertReceived(alert) => format!("it refused TLS ({alert:?}): check the address"),
        other => format!("TLS failed: {other}"),
    }
}

fn certificate(bad: &CertificateError, host: &str) -> String {
    match bad {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired: set this machine's clock, or wait until the venue has a new one".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet: set this machine's clock".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "its certificate is not for {host}: check the address, and whether DNS or something in between leads elsewhere"
        ),
        CertificateError::BadSignature => {
            "its certificate was not signed by the authority it names: somebody stands in between, do not use this address"
                .to_owned()
        }
        CertificateError::Revoked => "its certificate was revoked: do not use this address".to_owned(),
        // Also what a certificate says that vouches for itself as an authority and is used by a server.
        CertificateError::UnknownIssuer | CertificateError::Other(_) => format!(
            "its certificate is signed by nobody we know (or by itself): something may be reading along; if {host} is \
             your own, add its authority"
        ),
        other => format!("its certificate is no good ({other:?}): check the address, and what stands in between"),
    }
}

/// What a fault says of the other side.
pub(super) fn fault(fault: &Fault) -> String {
    match fault {
        Fault::TimedOut => "it did not answer in time".to_owned(),
        Fault::Cut => "the call was cut short".to_owned(),
        Fault::Closed => "it closed the connection".to_owned(),
        Fault::Other(why) => why.clone(),
    }
}

/// What the HTTP layer did not like of an answer.
pub(super) fn answer(error: &ureq::Error) -> String {
    match error {
        ureq::Error::LargeResponseHeader(..) => "the head of its answer is too large".to_owned(),
        ureq::Error::Timeout(_) => fault(&Fault::TimedOut),
        ureq::Error::Io(_) => "it closed the connection before the answer was whole".to_owned(),
        ureq::Error::Protocol(why) => {
            let why: String = why.to_string().escape_debug().take(120).collect();
            format!("its answer is not HTTP ({why})")
        }
        _ => "its answer is not whole".to_owned(),
    }
}
