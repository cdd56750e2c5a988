//! Names: calls while DNS hangs, fails, changes or lies.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::server::{Authority, LONG, Server, client_of, echo, get, got, not_sent, open_gate, settings};
use crate::net::address::Address;
use crate::net::http::HttpClient;
use crate::net::resolver::{Resolver, ResolverThread};
use crate::net::roots::Roots;

/// What DNS says now.
type Dns = Arc<Mutex<Result<Vec<IpAddr>, String>>>;

fn ip(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

fn client_by_name(base: &Address, roots: Roots, dns: &Dns) -> (HttpClient, Resolver, ResolverThread) {
    let dns = Arc::clone(dns);
    let look_up = move |_: &str| dns.lock().unwrap().clone().map_err(io::Error::other);
    let addresses = std::slice::from_ref(base);
    let (resolver, thread) = Resolver::start_with(addresses, Duration::from_millis(1), Box::new(look_up)).unwrap();
    let client = HttpClient::new(settings(base.clone()), resolver.clone(), roots).unwrap();
    (client, resolver, thread)
}

fn wait_for_news(resolver: &Resolver, base: &Address) {
    let (before, deadline) = (resolver.state(base).0, crate::net::deadline::Deadline::after(LONG));
    // The look-up after the one under way has certainly seen what DNS says now.
    while resolver.state(base).0 < before + 2 {
        assert!(!deadline.is_over(), "nobody looks names up");
        std::thread::yield_now();
    }
}

#[test]
fn with_dns_gone_warm_and_cold_connections_work_on_what_is_known() {
    let authority = Authority::new();
    let server = Server::tls(authority.good(), echo);
    let base = server.https("a.test");
    let dns: Dns = Arc::new(Mutex::new(Ok(vec![ip(1)])));
    let (mut client, resolver, thread) = client_by_name(&base, authority.roots(), &dns);
    resolver.wait_for(&base, LONG).unwrap();
    got(client.send(&get("/"), &open_gate));
    *dns.lock().unwrap() = Err("no servers could be reached".into());
    wait_for_news(&resolver, &base);
    assert!(resolver.state(&base).1.is_some());
    got(client.send(&get("/warm"), &open_gate));
    let mut cold = HttpClient::new(settings(base.clone()), resolver.clone(), authority.roots()).unwrap();
    got(cold.send(&get("/cold"), &open_gate));
    assert_eq!((server.seen.n_accepted(), server.seen.requests().len()), (2, 3));
    thread.close().unwrap().join().unwrap();
    // And with the thread gone as well.
    let mut cold = HttpClient::new(settings(base), resolver, authority.roots()).unwrap();
    got(cold.send(&get("/"), &open_gate));
}

#[test]
fn a_call_before_the_first_look_up_ends_at_once_and_is_not_sent() {
    let base = Address::parse("https://a.test").unwrap();
    let (hang, hanging) = crossbeam_channel::bounded::<()>(0);
    let look_up = move |_: &str| {
        let _ = hanging.recv();
        Err(io::Error::other("given up"))
    };
    let (resolver, _thread) = Resolver::start_with(std::slice::from_ref(&base), LONG, Box::new(look_up)).unwrap();
    let mut client = HttpClient::new(settings(base.clone()), resolver.clone(), Roots::public()).unwrap();
    assert!(not_sent(client.send(&get("/"), &open_gate)).contains("still being looked up"));
    drop(hang);
    let deadline = crate::net::deadline::Deadline::after(LONG);
    while resolver.state(&base).0 == 0 {
        assert!(!deadline.is_over());
        std::thread::yield_now();
    }
    let why = not_sent(client.send(&get("/"), &open_gate));
    assert!(why.contains("given up") && why.contains("check"), "{why}");
}

#[test]
fn addresses_are_tried_in_turn_and_what_worked_comes_first_next_time() {
    let authority = Authority::new();
    let server = Server::tls(authority.good(), echo);
    let base = server.https("a.test");
    // Nobody listens on the first two.
    let dns: Dns = Arc::new(Mutex::new(Ok(vec![ip(3), ip(2), ip(1)])));
    let (mut client, resolver, _thread) = client_by_name(&base, authority.roots(), &dns);
    resolver.wait_for(&base, LONG).unwrap();
    got(client.send(&get("/"), &open_gate));
    assert_eq!(resolver.addresses(&base).unwrap()[0].ip(), ip(1));
}

#[test]
fn an_address_that_dns_invents_locks_nobody_out() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server = Server::tls(ours.good(), echo);
    let at_another_ip = format!("127.0.0.2:{}", server.at.port());
    let wrong = Server::start(&at_another_ip, Some(Arc::new(theirs.good())), Arc::new(echo));
    let base = server.https("a.test");
    let dns: Dns = Arc::new(Mutex::new(Ok(vec![ip(1)])));
    let (mut client, resolver, _thread) = client_by_name(&base, ours.roots(), &dns);
    resolver.wait_for(&base, LONG).unwrap();
    got(client.send(&get("/"), &open_gate));
    *dns.lock().unwrap() = Ok(vec![ip(2)]);
    wait_for_news(&resolver, &base);
    let mut cold = HttpClient::new(settings(base.clone()), resolver.clone(), ours.roots()).unwrap();
    got(cold.send(&get("/"), &open_gate));
    assert_eq!(server.seen.n_accepted(), 2);
    assert_eq!((wrong.seen.n_accepted(), wrong.seen.n_bytes()), (1, 0));
    // From now on the right one comes first.
    let mut cold = HttpClient::new(settings(base), resolver, ours.roots()).unwrap();
    got(cold.send(&get("/"), &open_gate));
    assert_eq!(wrong.seen.n_accepted(), 1);
}

#[test]
fn localhost_needs_no_look_up() {
    let server = Server::plain(echo);
    let base = Address::parse(&format!("http://localhost:{}", server.at.port())).unwrap();
    let (_, echoed) = got(client_of(settings(base), Roots::public()).send(&get("/"), &open_gate));
    assert!(echoed.contains(&format!("localhost:{}", server.at.port())), "{echoed}");
}
