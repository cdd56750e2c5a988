//! A server with a certificate of its own making, for the right name: nobody whom we trust vouches for it.

use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Builder;

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

#[derive(Default)]
struct Seen {
    met: AtomicUsize,
    heard: AtomicUsize,
    ends: AtomicBool,
}

/// The server, at `localhost`.
pub(super) struct SelfSigned {
    port: u16,
    seen: Arc<Seen>,
}

impl SelfSigned {
    pub(super) fn start() -> SelfSigned {
        let config = Arc::new(config());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port of this machine");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let server = SelfSigned { port, seen: Arc::default() };
        let seen = Arc::clone(&server.seen);
        let accept = move || {
            for socket in listener.incoming().map_while(Result::ok) {
                if seen.ends.load(Ordering::SeqCst) {
                    return;
                }
                seen.met.fetch_add(1, Ordering::SeqCst);
                let (config, seen) = (Arc::clone(&config), Arc::clone(&seen));
                // A client that goes is what this server is for.
                in_a_thread(move || drop(serve(config, socket, &seen)));
            }
        };
        in_a_thread(accept);
        server
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Connections.
    pub(super) fn n_met(&self) -> usize {
        self.seen.met.load(Ordering::SeqCst)
    }

    /// Bytes that came through the encryption.
    pub(super) fn n_heard(&self) -> usize {
        self.seen.heard.load(Ordering::SeqCst)
    }
}

impl Drop for SelfSigned {
    fn drop(&mut self) {
        self.seen.ends.store(true, Ordering::SeqCst);
        // Wakes the one who accepts.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn in_a_thread(work: impl FnOnce() + Send + 'static) {
    Builder::new().name("self-signed".to_owned()).spawn(work).expect("room for a thread");
}

fn config() -> ServerConfig {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let secret = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions that ring has")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], secret.into())
        .expect("a key that fits its certificate")
}

fn serve(config: Arc<ServerConfig>, socket: TcpStream, seen: &Seen) -> io::Result<()> {
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, socket);
    let mut bytes = [0; 1024];
    loop {
        match stream.read(&mut bytes)? {
            0 => return Ok(()),
            count => seen.heard.fetch_add(count, Ordering::SeqCst),
        };
    }
}
