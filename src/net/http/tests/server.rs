//! A server whose every move is scripted, and clients for it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

use crate::net::address::Address;
use crate::net::deadline::Deadline;
use crate::net::http::{HttpClient, HttpSettings, Lane, Outcome, Outgoing};
use crate::net::resolver::Resolver;
use crate::net::roots::Roots;

/// For what is expected to happen.
pub(super) const LONG: Duration = Duration::from_secs(60);
/// For what is expected not to happen.
pub(super) const SHORT: Duration = Duration::from_millis(300);

/// What reached a server.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) n_accepted: AtomicUsize,
    /// Application bytes, whole requests or not.
    pub(super) n_bytes: AtomicUsize,
    requests: Mutex<Vec<String>>,
    changed: Condvar,
}

impl Seen {
    /// Whole requests.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(super) fn n_accepted(&self) -> usize {
        self.n_accepted.load(Ordering::SeqCst)
    }

    pub(super) fn n_bytes(&self) -> usize {
        self.n_bytes.load(Ordering::SeqCst)
    }

    /// Waits until something is so.
    pub(super) fn wait(&self, what: &str, is_so: impl Fn(&Seen) -> bool) {
        let deadline = Deadline::after(LONG);
        while !is_so(self) {
            assert!(!deadline.is_over(), "it never happened: {what}");
            let requests = self.requests.lock().unwrap();
            drop(self.changed.wait_timeout(requests, Duration::from_millis(5)).unwrap());
        }
    }
}

/// One accepted connection.
pub(super) struct Peer {
    stream: TcpStream,
    tls: Option<ServerConnection>,
    buffered: Vec<u8>,
    seen: Arc<Seen>,
}

impl Peer {
    /// The next whole request; nothing if the other side is done.
    pub(super) fn request(&mut self) -> Option<String> {
        loop {
            if let Some(end) = end_of_request(&self.buffered) {
                let request: Vec<u8> = self.buffered.drain(..end).collect();
                let request = String::from_utf8_lossy(&request).into_owned();
                self.seen.requests.lock().unwrap().push(request.clone());
                self.seen.changed.notify_all();
                return Some(request);
            }
            if self.read_some()? == 0 {
                return None;
            }
        }
    }

    /// Reads once. Nothing after an error.
    pub(super) fn read_some(&mut self) -> Option<usize> {
        let mut buffer = [0; 65_536];
        let n = match &mut self.tls {
            None => self.stream.read(&mut buffer).ok()?,
            Some(tls) => rustls::Stream::new(tls, &mut self.stream).read(&mut buffer).ok()?,
        };
        self.buffered.extend_from_slice(&buffer[..n]);
        self.seen.n_bytes.fetch_add(n, Ordering::SeqCst);
        self.seen.changed.notify_all();
        Some(n)
    }

    /// The kind of error, or the number of bytes, that reading gives now.
    pub(super) fn end(&mut self) -> Result<usize, ErrorKind> {
        self.stream.read(&mut [0; 64]).map_err(|error| error.kind())
    }

    /// Says something. Whether the other side still listens.
    pub(super) fn say(&mut self, bytes: &[u8]) -> bool {
        match &mut self.tls {
            None => self.stream.write_all(bytes).is_ok(),
            Some(tls) => {
                let mut stream = rustls::Stream::new(tls, &mut self.stream);
                stream.write_all(bytes).and_then(|()| stream.flush()).is_ok()
            }
        }
    }

    /// Says something in small pieces, with pauses between them, for as long as anybody listens.
    pub(super) fn drip(&mut self, bytes: impl Iterator<Item = u8>) {
        // Nobody ever speaks on it: its time-out is the pause.
        let (_silent, pause) = crossbeam_channel::bounded::<()>(0);
        for byte in bytes {
            if !self.say(&[byte]) {
                return;
            }
            let _ = pause.recv_timeout(Duration::from_millis(20));
        }
    }

    /// A whole answer.
    pub(super) fn answer(&mut self, status: u16, body: &str) -> bool {
        let text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        self.say(text.as_bytes())
    }

    /// Closes as one should.
    pub(super) fn close(mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = tls.write_tls(&mut self.stream);
        }
        let _ = self.stream.shutdown(Shutdown::Write);
        // Until the other side has closed too: closing over unread bytes would be a reset.
        while matches!(self.stream.read(&mut [0; 4_096]), Ok(n) if n > 0) {}
    }

    /// Closes without the farewell of TLS.
    pub(super) fn vanish(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Breaks the connection.
    pub(super) fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }

    /// Stays silent until the other side gives up.
    pub(super) fn wait_for_the_end(mut self) {
        while matches!(self.stream.read(&mut [0; 4_096]), Ok(n) if n > 0) {}
    }
}

fn end_of_request(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    (bytes.len() >= head + length).then_some(head + length)
}

/// What is done with the connection of that number (from 0).
pub(super) type Script = dyn Fn(usize, Peer) + Send + Sync;

/// A listening server.
pub(super) struct Server {
    pub(super) at: SocketAddr,
    pub(super) seen: Arc<Seen>,
    is_over: Arc<AtomicUsize>,
}

impl Server {
    /// In plain text.
    pub(super) fn plain(script: impl Fn(usize, Peer) + Send + Sync + 'static) -> Server {
        Server::start("127.0.0.1:0", None, Arc::new(script))
    }

    /// Over TLS; the script begins after the handshake.
    pub(super) fn tls(config: ServerConfig, script: impl Fn(usize, Peer) + Send + Sync + 'static) -> Server {
        Server::start("127.0.0.1:0", Some(Arc::new(config)), Arc::new(script))
    }

    pub(super) fn start(at: &str, tls: Option<Arc<ServerConfig>>, script: Arc<Script>) -> Server {
        let listener = TcpListener::bind(at).unwrap();
        let server = Server { at: listener.local_addr().unwrap(), seen: Arc::default(), is_over: Arc::default() };
        let (seen, is_over) = (Arc::clone(&server.seen), Arc::clone(&server.is_over));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::SeqCst) > 0 {
                    return;
                }
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(LONG)).unwrap();
                stream.set_write_timeout(Some(LONG)).unwrap();
                let number = seen.n_accepted.fetch_add(1, Ordering::SeqCst);
                seen.changed.notify_all();
                let tls = tls.clone().map(|config| ServerConnection::new(config).unwrap());
                let peer = Peer { stream, tls, buffered: Vec::new(), seen: Arc::clone(&seen) };
                let script = Arc::clone(&script);
                std::thread::spawn(move || {
                    let mut peer = peer;
                    if let Some(tls) = &mut peer.tls {
                        while tls.is_handshaking() {
                            if tls.complete_io(&mut peer.stream).is_err() {
                                return;
                            }
                        }
                    }
                    script(number, peer);
                });
            }
        });
        server
    }

    /// Its address for clients, in plain text.
    pub(super) fn http(&self) -> Address {
        Address::parse(&format!("http://{}", self.at)).unwrap()
    }

    /// Its address for clients, over TLS, under a name.
    pub(super) fn https(&self, host: &str) -> Address {
        Address::parse(&format!("https://{host}:{}", self.at.port())).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(1, Ordering::SeqCst);
        let _ = TcpStream::connect(self.at);
    }
}

/// Answers every request with 200 and its own text.
pub(super) fn echo(_: usize, mut peer: Peer) {
    while let Some(request) = peer.request() {
        if !peer.answer(200, &request) {
            return;
        }
    }
}

/// A certificate authority of our own.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) pem: String,
}

impl Authority {
    pub(super) fn new() -> Authority {
        Authority::named("an authority of our own")
    }

    pub(super) fn named(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// A server with a certificate for these names, valid in these years.
    pub(super) fn server(&self, names: &[&str], from_year: i32, to_year: i32) -> ServerConfig {
        let (chain, key) = self.certificate(names, from_year, to_year);
        server_config(chain, &key)
    }

    fn certificate(&self, names: &[&str], from_year: i32, to_year: i32) -> (Vec<CertificateDer<'static>>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(from_year, 1, 1);
        params.not_after = date_time_ymd(to_year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (vec![certificate.der().clone()], key)
    }

    /// A server like any other.
    pub(super) fn good(&self) -> ServerConfig {
        self.server(&["localhost", "127.0.0.1", "a.test"], 2020, 2100)
    }

    /// The same, in one version of TLS only.
    pub(super) fn good_in(&self, version: &'static rustls::SupportedProtocolVersion) -> ServerConfig {
        let (chain, key) = self.certificate(&["localhost"], 2020, 2100);
        server_config_in(&[version], chain, &key)
    }

    pub(super) fn roots(&self) -> Roots {
        Roots::only(self.pem.as_bytes()).unwrap()
    }
}

pub(super) fn server_config(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> ServerConfig {
    server_config_in(&[&rustls::version::TLS13, &rustls::version::TLS12], chain, key)
}

fn server_config_in(
    versions: &[&'static rustls::SupportedProtocolVersion],
    chain: Vec<CertificateDer<'static>>,
    key: &KeyPair,
) -> ServerConfig {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

pub(super) fn settings(base: Address) -> HttpSettings {
    HttpSettings {
        base,
        lane: Lane::Read,
        connect_timeout: LONG,
        total_timeout: LONG,
        max_idle_age: LONG,
        body_bytes_max: 4 << 20,
        user_agent: "lastorders/test".into(),
    }
}

/// A client with these settings, for addresses that need no look-up.
pub(super) fn client_of(settings: HttpSettings, roots: Roots) -> HttpClient {
    let addresses = std::slice::from_ref(&settings.base);
    let (resolver, _thread) =
        Resolver::start_with(addresses, LONG, Box::new(|_: &str| panic!("nothing to look up"))).unwrap();
    HttpClient::new(settings, resolver, roots).unwrap()
}

pub(super) fn client(base: Address) -> HttpClient {
    client_of(settings(base), Roots::public())
}

/// A request without headers.
pub(super) fn outgoing<'a>(method: &'a str, path_and_query: &'a str, body: Option<&'a [u8]>) -> Outgoing<'a> {
    Outgoing { method, path_and_query, headers: &[], body, timeout: LONG }
}

pub(super) fn get<'a>(path_and_query: &'a str) -> Outgoing<'a> {
    outgoing("GET", path_and_query, None)
}

pub(super) fn open_gate() -> bool {
    true
}

/// Status and body of a whole answer.
#[track_caller]
pub(super) fn got(outcome: Outcome) -> (u16, String) {
    match outcome {
        Outcome::Got { status, body, .. } => (status, String::from_utf8(body).unwrap()),
        other => panic!("no answer: {other:?}"),
    }
}

/// Why a request was not sent.
#[track_caller]
pub(super) fn not_sent(outcome: Outcome) -> String {
    match outcome {
        Outcome::NotSent(why) => why,
        other => panic!("not unsent: {other:?}"),
    }
}

/// Why an answer was lost.
#[track_caller]
pub(super) fn lost(outcome: Outcome) -> String {
    match outcome {
        Outcome::Lost(why) => why,
        other => panic!("not lost: {other:?}"),
    }
}
