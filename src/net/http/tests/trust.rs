//! Whom the client believes: everybody else gets no byte of a request, and the operator a sentence.

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;

use super::server::{
    Authority, SHORT, Server, client_of, echo, get, got, not_sent, open_gate, outgoing, server_config, settings,
};
use crate::net::roots::Roots;

fn self_signed() -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    server_config(vec![certificate.der().clone()], &key)
}

#[test]
fn a_certificate_that_proves_nothing_gets_no_byte() {
    let (ours, theirs, forger) = (Authority::new(), Authority::named("another"), Authority::new());
    for (what, config, why) in [
        ("another host", ours.server(&["b.test"], 2020, 2100), "not for localhost"),
        ("expired", ours.server(&["localhost"], 2020, 2021), "has expired"),
        ("not yet valid", ours.server(&["localhost"], 2090, 2100), "not valid yet"),
        ("another authority", theirs.good(), "signed by nobody we know"),
        ("somebody who says to be our authority", forger.good(), "not signed by the authority it names"),
        ("itself", self_signed(), "signed by nobody we know"),
    ] {
        let server = Server::tls(config, echo);
        let base = server.https("localhost");
        for roots in [ours.roots(), Roots::public_and(ours.pem.as_bytes()).unwrap()] {
            let mut client = client_of(settings(base.clone()), roots);
            let told = not_sent(client.send(&outgoing("POST", "/", Some(b"{}")), &open_gate));
            assert!(told.contains(why) && told.contains("nothing was sent"), "{what}: {told}");
        }
        assert_eq!(server.seen.n_bytes(), 0, "{what}");
    }
}

#[test]
fn an_authority_is_believed_only_where_it_was_added() {
    let ours = Authority::new();
    let server = Server::tls(ours.good(), echo);
    for (roots, is_believed) in
        [(Roots::public(), false), (Roots::public_and(ours.pem.as_bytes()).unwrap(), true), (ours.roots(), true)]
    {
        let outcome = client_of(settings(server.https("localhost")), roots).send(&get("/"), &open_gate);
        if is_believed {
            got(outcome);
        } else {
            not_sent(outcome);
        }
    }
    assert_eq!(server.seen.requests().len(), 2);
}

#[test]
fn tls_1_2_is_new_enough() {
    let ours = Authority::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let server = Server::tls(ours.good_in(version), echo);
        let mut client = client_of(settings(server.https("localhost")), ours.roots());
        for _ in 0..3 {
            got(client.send(&get("/"), &open_gate));
        }
        assert_eq!(server.seen.n_accepted(), 1);
    }
}

#[test]
fn whoever_does_not_speak_tls_gets_no_byte() {
    let plain = Server::plain(|_, mut peer| {
        peer.read_some();
        peer.answer(400, "<html>this is a plain HTTP port</html>");
        peer.close();
    });
    let hangs_up = Server::plain(|_, mut peer| {
        peer.read_some();
        peer.close();
    });
    let resets = Server::plain(|_, mut peer| {
        peer.read_some();
        peer.reset();
    });
    for (server, why) in [(&plain, "does not speak TLS"), (&hangs_up, "during the TLS handshake"), (&resets, "closed")]
    {
        let mut client = client_of(settings(server.https("localhost")), Roots::public());
        let told = not_sent(client.send(&outgoing("POST", "/", Some(b"{}")), &open_gate));
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn a_handshake_without_end_is_given_up_and_nothing_was_sent() {
    let silent = Server::plain(|_, peer| peer.wait_for_the_end());
    // A record of TLS that never comes to its end.
    let drips = Server::plain(|_, mut peer| {
        peer.say(&[22, 3, 3, 63, 255]);
        peer.drip(std::iter::repeat(2));
    });
    for server in [&silent, &drips] {
        for by_connect in [true, false] {
            let mut settings = settings(server.https("127.0.0.1"));
            *(if by_connect { &mut settings.connect_timeout } else { &mut settings.total_timeout }) = SHORT;
            let told = not_sent(client_of(settings, Roots::public()).send(&get("/"), &open_gate));
            assert!(told.contains("in time"), "{told}");
        }
    }
}
