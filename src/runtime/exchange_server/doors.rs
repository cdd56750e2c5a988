//! What stands behind the two ports: each request and frame is handed to the engine thread, which answers.
//!
//! Always holds: what one connection said is handed on in the order it said it.
//! Never does: answer by itself, except for an address that does not exist.

use crossbeam_channel::{SendTimeoutError, Sender};

use super::{HAND_OVER_PATIENCE, Inbound};
use crate::net::server::{ConnId, Incoming, Method, Reply, Response, Service, SocketSender};

/// The exchange's own port.
pub(super) struct TradingDoor {
    pub(super) to: Sender<Inbound>,
}

impl TradingDoor {
    fn hand(&self, inbound: Inbound) {
        // An engine that takes nothing for so long has ended, or is about to: the connection goes with it.
        if let Err(SendTimeoutError::Timeout(_)) = self.to.send_timeout(inbound, HAND_OVER_PATIENCE) {
            log::error!("The exchange takes no requests: one was dropped");
        }
    }
}

impl Service for TradingDoor {
    fn http(&self, request: Incoming, reply: Reply) {
        self.hand(Inbound::Http(request, reply));
    }

    fn upgrade(&self, request: &Incoming) -> bool {
        request.path().starts_with("/v5/")
    }

    fn socket_open(&self, conn: ConnId, path_and_query: &str, _: &[(String, String)], to: SocketSender) {
        self.hand(Inbound::SocketOpen(conn, path_and_query.to_owned(), to));
    }

    fn socket_text(&self, conn: ConnId, text: String) {
        self.hand(Inbound::SocketText(conn, text));
    }

    fn socket_closed(&self, conn: ConnId) {
        self.hand(Inbound::SocketClosed(conn));
    }
}

/// What the admin port is asked.
#[derive(Debug)]
pub(super) enum AdminAsk {
    /// Do something: the body of the request.
    Command(Vec<u8>),
    /// Which orders live, by account.
    Orders,
    /// Whether it runs, and how it does.
    Health,
    /// How often each fault struck.
    Faults,
}

/// The admin port.
pub(super) struct AdminDoor {
    pub(super) to: Sender<Inbound>,
}

impl Service for AdminDoor {
    fn http(&self, request: Incoming, reply: Reply) {
        let ask = match (&request.method, request.path()) {
            (&Method::POST, "/command") => AdminAsk::Command(request.body),
            (&Method::GET, "/orders") => AdminAsk::Orders,
            (&Method::GET, "/health") => AdminAsk::Health,
            (&Method::GET, "/faults") => AdminAsk::Faults,
            _ => {
                return reply.send(told(404, "there are POST /command, GET /orders, GET /health and GET /faults"));
            }
        };
        if let Err(error) = self.to.send_timeout(Inbound::Admin(ask, reply), HAND_OVER_PATIENCE)
            && let Inbound::Admin(_, reply) = error.into_inner()
        {
            reply.send(told(503, "the exchange is ending"));
        }
    }

    fn upgrade(&self, _: &Incoming) -> bool {
        false
    }

    fn socket_open(&self, _: ConnId, _: &str, _: &[(String, String)], _: SocketSender) {}

    fn socket_text(&self, _: ConnId, _: String) {}

    fn socket_closed(&self, _: ConnId) {}
}

/// A refusal in words.
pub(super) fn told(status: u16, why: &str) -> Response {
    Response::json(status, serde_json::json!({ "error": why }).to_string())
}
