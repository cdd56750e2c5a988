//! What goes out, and what comes back when all is well.

use super::server::{Authority, Server, client, client_of, echo, get, got, not_sent, open_gate, outgoing, settings};
use crate::net::address::Address;
use crate::net::http::{HttpClient, Outcome, Outgoing};
use crate::net::resolver::Resolver;
use crate::net::roots::Roots;

#[test]
fn a_request_goes_out_byte_for_byte() {
    let server = Server::plain(echo);
    let mut client = client(server.http());
    let headers = [("X-BAPI-SIGN", "ab12"), ("Content-Type", "application/json")];
    let path = "/v5/order/create?a=%2C+~&b=%7B|&d=*'()!:;@$[]";
    let body: &[u8] = b"{\"qty\":\"0.1\"}";
    let request = Outgoing {
        method: "POST",
        path_and_query: path,
        headers: &headers,
        body: Some(body),
        timeout: super::server::LONG,
    };
    let (status, echoed) = got(client.send(&request, &open_gate));
    assert_eq!(status, 200);
    let (head, sent) = echoed.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some(format!("POST {path} HTTP/1.1").as_str()));
    let mut rest: Vec<String> = lines.map(str::to_ascii_lowercase).collect();
    rest.sort();
    let host = format!("host: {}", server.at);
    let mut expected = vec![
        "accept: */*",
        "accept-encoding: identity",
        "content-length: 13",
        "content-type: application/json",
        "user-agent: lastorders/test",
        "x-bapi-sign: ab12",
        &host,
    ];
    expected.sort_unstable();
    assert_eq!(rest, expected);
    assert_eq!(sent.as_bytes(), body);
}

#[test]
fn every_verb_says_where_its_request_ends_and_one_connection_serves_them_all() {
    let authority = Authority::new();
    let plain = Server::plain(echo);
    let tls = Server::tls(authority.good(), echo);
    for (base, server) in [(plain.http(), &plain), (tls.https("localhost"), &tls), (tls.https("127.0.0.1"), &tls)] {
        let n_before = server.seen.n_accepted();
        let mut client = client_of(settings(base), authority.roots());
        for (method, body, length) in [
            ("GET", None, None),
            ("POST", Some("{}"), Some("content-length: 2")),
            ("POST", None, Some("content-length: 0")),
            ("PUT", None, Some("content-length: 0")),
            ("PUT", Some("x"), Some("content-length: 1")),
            ("DELETE", None, None),
            ("DELETE", Some("{\"id\":1}"), Some("content-length: 8")),
            ("GET", None, None),
        ] {
            let (_, echoed) = got(client.send(&outgoing(method, "/a?b", body.map(str::as_bytes)), &open_gate));
            let told: Vec<&str> =
                echoed.lines().filter(|line| line.to_lowercase().starts_with("content-length")).collect();
            assert_eq!(told, length.into_iter().collect::<Vec<_>>(), "{method}");
            assert!(echoed.ends_with(body.unwrap_or("\r\n\r\n")), "{echoed}");
        }
        assert_eq!(server.seen.n_accepted() - n_before, 1);
    }
}

#[test]
fn a_request_leaves_in_one_piece() {
    // The server answers what its first read brought: a head without its body would show.
    let server = Server::plain(|_, mut peer| {
        while matches!(peer.read_some(), Some(n) if n > 0) {
            peer.answer(200, "");
        }
    });
    let mut client = client(server.http());
    let before = server.seen.n_bytes();
    assert_eq!(before, 0);
    for _ in 0..5 {
        got(client.send(&outgoing("POST", "/", Some(b"{\"a\":1}")), &open_gate));
    }
    assert_eq!(server.seen.n_accepted(), 1);
}

#[test]
fn statuses_come_back_as_they_are_and_nothing_is_followed() {
    let server = Server::plain(|_, mut peer| {
        while let Some(request) = peer.request() {
            let status: u16 = request.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
            let (location, body) = match status {
                300..=399 => ("Location: /200\r\nX-Long: a\r\n", "moved"),
                404 => ("Content-Type: text/html\r\n", "<html>no such thing</html>"),
                _ => ("", "{\"retCode\":10006}"),
            };
            let body = if status == 204 || status == 304 { "" } else { body };
            let length = if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
            peer.say(format!("HTTP/1.1 {status} X\r\n{location}{length}\r\n{body}").as_bytes());
        }
    });
    let mut client = client(server.http());
    let statuses = [200, 204, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 408, 418, 429, 500, 502, 503, 599];
    for status in statuses {
        for method in ["GET", "POST"] {
            let path = format!("/{status}");
            let (back, body) = got(client.send(&outgoing(method, &path, None), &open_gate));
            assert_eq!(back, status);
            assert_eq!(body.is_empty(), [204, 304].contains(&status), "{status}: {body}");
        }
    }
    assert_eq!(server.seen.requests().len(), 2 * statuses.len());
    assert_eq!(server.seen.n_accepted(), 1);
}

#[test]
fn headers_come_back_with_names_in_lower_case_and_all_their_values() {
    let server = Server::plain(|_, mut peer| {
        peer.request();
        peer.say(b"HTTP/1.1 200 OK\r\nX-Bapi-Limit: 10\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Odd: \xff\r\nContent-Length: 0\r\n\r\n");
        let next = peer.request().unwrap();
        peer.answer(200, &next);
    });
    let mut client = client(server.http());
    let Outcome::Got { headers, .. } = client.send(&get("/"), &open_gate) else { panic!("no answer") };
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for header in [("x-bapi-limit", "10"), ("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-odd", "\u{fffd}")] {
        assert!(headers.contains(&header), "{headers:?}");
    }
    let (_, next) = got(client.send(&get("/"), &open_gate));
    assert!(!next.to_lowercase().contains("cookie"), "{next}");
}

#[test]
fn a_request_that_cannot_be_written_as_it_is_is_not_written() {
    let server = Server::plain(echo);
    let mut client = client(server.http());
    let canary = "canary\r\nX-Two: 2";
    let paths = ["", "v5", "/a b", "/a#b", "/a\r\nX: y", "/\u{e9}", "http://127.0.0.1/", "@127.0.0.1/"];
    let mut refused: Vec<String> = Vec::new();
    for path in paths {
        refused.push(not_sent(client.send(&get(path), &open_gate)));
    }
    for header in [("X-A", canary), ("X\nB", "1"), ("", "1"), ("Host", "b"), ("content-length", "3"), ("Expect", "x")] {
        let request = Outgoing { headers: &[header], ..get("/") };
        refused.push(not_sent(client.send(&request, &open_gate)));
    }
    refused.push(not_sent(client.send(&outgoing("GE T", "/", None), &open_gate)));
    let long = "a".repeat(100_000);
    let request = Outgoing { headers: &[("X-Long", &long)], ..get("/") };
    refused.push(not_sent(client.send(&request, &open_gate)));
    assert!(refused.iter().all(|why| !why.contains("canary") && why.len() < 300), "{refused:?}");
    assert_eq!(server.seen.n_bytes(), 0);
    // And none of it broke the client.
    got(client.send(&get("/"), &open_gate));
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for base in ["ws://127.0.0.1:1", "http://127.0.0.1:1/v5", "http://127.0.0.1:1/?a"] {
        let (resolver, _thread) = Resolver::start(&[], super::server::LONG).unwrap();
        let settings = settings(Address::parse(base).unwrap());
        assert!(HttpClient::new(settings, resolver, Roots::public()).is_err(), "{base}");
    }
    let (resolver, _thread) = Resolver::start(&[], super::server::LONG).unwrap();
    let mut settings = settings(Address::parse("http://127.0.0.1:1").unwrap());
    settings.user_agent = "a\nb".into();
    assert!(HttpClient::new(settings, resolver, Roots::public()).is_err());
}

#[test]
fn nothing_shows_what_may_be_secret() {
    let headers = [("X-Sign", "canary")];
    let request = Outgoing {
        method: "GET",
        path_and_query: "/a?sign=canary",
        headers: &headers,
        body: Some(b"canary"),
        timeout: super::server::LONG,
    };
    assert_eq!(format!("{request:?}"), "GET /a");
}
