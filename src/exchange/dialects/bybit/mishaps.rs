//! What goes wrong outside the model: answers on their way out, sockets, subscriptions.
//!
//! Always holds: a mishap stands in the ledger when it strikes, before anything of it can be seen.

use serde::{Deserialize, Serialize};

use super::sockets::{Purpose, Session};
use super::{Due, Gateway};
use crate::exchange::dialects::{CloseHow, GatewayOut, HttpOut, Mangle, SocketId};
use crate::exchange::faults::Place;
use crate::exchange::ledger::Line;
use crate::exchange::{AccountId, Micros, Ticket};

/// Whether the request is carried out first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// It is not carried out.
    #[default]
    Before,
    /// It is, and nobody is told.
    After,
}

/// What the body of a failing answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyKind {
    /// A page for people.
    #[default]
    Html,
    /// JSON, though not an answer.
    Json,
    /// Nothing.
    Empty,
}

/// What happens to an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpFaultKind {
    /// Another status.
    Status {
        /// 429, 500, 502, 503...
        status: u16,
        /// With this body.
        #[serde(default)]
        body: BodyKind,
        /// With a `retry-after` of this many seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_s: Option<u32>,
    },
    /// A page for people with status 200.
    HtmlOk,
    /// A well-formed answer with this number.
    Code {
        /// The number.
        code: i64,
        /// The words.
        #[serde(default)]
        msg: String,
    },
    /// No answer; the connection stays.
    Hang,
    /// No answer; the connection is closed.
    Drop,
    /// No answer; the connection is reset.
    Reset,
    /// This many bytes of the body.
    Truncate {
        /// How many.
        bytes: usize,
    },
    /// A body without end.
    Endless,
}

impl HttpFaultKind {
    fn word(&self) -> &'static str {
        match self {
            HttpFaultKind::Status { .. } => "http_status",
            HttpFaultKind::HtmlOk => "http_html_ok",
            HttpFaultKind::Code { .. } => "http_code",
            HttpFaultKind::Hang => "http_hang",
            HttpFaultKind::Drop => "http_drop",
            HttpFaultKind::Reset => "http_reset",
            HttpFaultKind::Truncate { .. } => "http_truncate",
            HttpFaultKind::Endless => "http_endless",
        }
    }
}

/// A mishap of HTTP that a test orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpFault {
    /// Part of the path; an empty one fits all.
    #[serde(default)]
    pub path: String,
    /// Only with this method.
    #[serde(default)]
    pub method: Option<String>,
    /// Only of this account.
    #[serde(default)]
    pub account: Option<AccountId>,
    /// Before or after it is carried out.
    #[serde(default)]
    pub when: When,
    /// What happens.
    pub fault: HttpFaultKind,
    /// Matches to let pass first.
    #[serde(default)]
    pub skip: u32,
    /// How often; 0: until `heal`.
    #[serde(default = "once")]
    pub times: u32,
}

fn once() -> u32 {
    1
}

/// Which sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SocketScope {
    /// Private ones.
    Private,
    /// Public ones.
    Public,
    /// Trading ones.
    Trade,
    /// All.
    #[default]
    All,
}

impl SocketScope {
    fn covers(self, purpose: Purpose) -> bool {
        match self {
            SocketScope::All => true,
            SocketScope::Private => purpose == Purpose::Private,
            SocketScope::Trade => purpose == Purpose::Trade,
            SocketScope::Public => matches!(purpose, Purpose::Public(_) | Purpose::Status),
        }
    }
}

/// A mishap that struck a request.
#[derive(Clone, Debug)]
pub(super) struct HttpStrike {
    pub(super) before: bool,
    pub(super) kind: HttpFaultKind,
}

/// Mishaps that wait.
#[derive(Debug, Default)]
pub(super) struct Mishaps {
    http: Vec<HttpFault>,
    /// Subscriptions still to be refused, and which topics.
    refusals: Vec<(u32, Option<String>)>,
    pub(super) maintenance: bool,
    /// While it stands, what arrives waits.
    pub(super) paused: bool,
    held: Vec<Due>,
}

impl Gateway {
    pub(super) fn plan_http(&mut self, fault: HttpFault) {
        self.mishaps.http.push(fault);
    }

    pub(super) fn plan_refusal(&mut self, times: u32, topic: Option<String>) {
        self.mishaps.refusals.push((times, topic));
    }

    pub(super) fn heal_mishaps(&mut self) {
        self.mishaps.http.clear();
        self.mishaps.refusals.clear();
        self.mishaps.maintenance = false;
        self.windows.lift_ban();
        for session in self.sockets.values_mut() {
            session.silent_until = None;
        }
        self.pause(false);
    }

    /// Stops or lets go on: what arrived meanwhile is looked at then, in its order.
    pub(super) fn pause(&mut self, on: bool) {
        if on && !self.mishaps.paused {
            self.note_mishap("engine_paused", Place::Http, AccountId(0), None, Vec::new(), None);
        }
        self.mishaps.paused = on;
        if !on {
            for due in std::mem::take(&mut self.mishaps.held) {
                self.schedule(self.now, due);
            }
        }
    }

    pub(super) fn hold(&mut self, due: Due) {
        self.mishaps.held.push(due);
    }

    /// What goes wrong with this request, if anything.
    pub(super) fn strike_http(
        &mut self,
        method: &str,
        path: &str,
        account: Option<AccountId>,
        ticket: Ticket,
        client_ids: Vec<String>,
    ) -> Option<HttpStrike> {
        let fits = |fault: &HttpFault| {
            path.contains(&fault.path)
                && fault.method.as_deref().is_none_or(|wanted| wanted == method)
                && (fault.account.is_none() || fault.account == account)
        };
        let mut struck = None;
        for fault in self.mishaps.http.iter_mut().filter(|fault| fits(fault)) {
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if struck.is_none() {
                struck = Some(HttpStrike { before: fault.when == When::Before, kind: fault.fault.clone() });
                if fault.times > 0 {
                    fault.times -= 1;
                    if fault.times == 0 {
                        // Spent: it fits nothing any more.
                        fault.path = "\0".to_owned();
                    }
                }
            }
        }
        self.mishaps.http.retain(|fault| fault.path != "\0");
        let strike = struck?;
        let detail =
            format!("{} {path}, {} it was carried out", method, if strike.before { "before" } else { "after" });
        let account = account.unwrap_or(AccountId(0));
        self.note_mishap(strike.kind.word(), Place::Http, account, Some(ticket), client_ids, Some(detail));
        Some(strike)
    }

    pub(super) fn note_mishap(
        &mut self,
        word: &str,
        on: Place,
        account: AccountId,
        ticket: Option<Ticket>,
        client_ids: Vec<String>,
        detail: Option<String>,
    ) {
        self.exchange.note(Line::Fault {
            fault: word.to_owned(),
            on,
            account,
            request: None,
            ticket,
            client_ids,
            time_ms: None,
            detail,
        });
    }

    /// Whether this subscription is to be refused.
    pub(super) fn strike_subscribe(&mut self, socket: SocketId, topics: &[String]) -> bool {
        let mut refusals = self.mishaps.refusals.iter_mut();
        let wanted = |topic: &Option<String>| {
            topic.as_ref().is_none_or(|topic| topics.iter().any(|asked| asked.starts_with(topic)))
        };
        let Some(refusal) = refusals.find(|(_, topic)| wanted(topic)) else {
            return false;
        };
        refusal.0 = refusal.0.saturating_sub(1);
        self.mishaps.refusals.retain(|(times, _)| *times > 0);
        let account = self.sockets.get(&socket).and_then(|session| session.holder);
        let account = account.map_or(AccountId(0), |(account, _)| account);
        let detail = Some(topics.join(","));
        self.note_mishap("subscribe_refused", Place::Socket, account, None, Vec::new(), detail);
        true
    }

    /// The sockets of a scope.
    fn covered(&self, scope: SocketScope, account: Option<AccountId>) -> Vec<(SocketId, AccountId)> {
        let fits = |session: &Session| {
            let holder = session.holder.map(|(holder, _)| holder);
            scope.covers(session.purpose) && (account.is_none() || holder == account)
        };
        let covered = self.sockets.iter().filter(|(_, session)| fits(session));
        covered.map(|(socket, session)| (*socket, session.holder.map_or(AccountId(0), |(holder, _)| holder))).collect()
    }

    /// Ends sockets; the answer is how many.
    pub(super) fn drop_sockets(&mut self, scope: SocketScope, account: Option<AccountId>, how: CloseHow) -> usize {
        let covered = self.covered(scope, account);
        for &(socket, account) in &covered {
            let word = match how {
                CloseHow::Gracefully => "socket_closed",
                CloseHow::Hard => "socket_dropped",
                CloseHow::FallSilent => "socket_fell_silent",
            };
            self.note_mishap(word, Place::Socket, account, None, Vec::new(), Some(format!("socket {}", socket.0)));
            // Now, whatever is still on its way.
            self.schedule(self.now, Due::Leave(GatewayOut::CloseSocket(socket, how)));
        }
        covered.len()
    }

    /// Sends nothing on these sockets for a while; what would have been sent is lost.
    pub(super) fn silence(&mut self, scope: SocketScope, account: Option<AccountId>, until: Micros) -> usize {
        let covered = self.covered(scope, account);
        for &(socket, account) in &covered {
            let detail = Some(format!("socket {} until {}", socket.0, until.millis()));
            self.note_mishap("socket_silenced", Place::Socket, account, None, Vec::new(), detail);
            if let Some(session) = self.sockets.get_mut(&socket) {
                session.silent_until = Some(until);
            }
        }
        covered.len()
    }
}

/// An answer that never comes.
pub(super) fn hanging() -> HttpOut {
    HttpOut { status: 200, headers: Vec::new(), body: Vec::new(), mangle: Mangle::Hang }
}

const PAGE: &str = "<html><head><title>Error</title></head><body><center><h1>Error</h1></center></body></html>";

/// An answer after its mishap.
pub(super) fn mangled(out: HttpOut, kind: HttpFaultKind) -> HttpOut {
    let html = || vec![("content-type".to_owned(), "text/html".to_owned())];
    match kind {
        HttpFaultKind::Status { status, body, retry_after_s } => {
            let (mut headers, body) = match body {
                BodyKind::Html => (html(), PAGE.as_bytes().to_vec()),
                BodyKind::Json => (
                    vec![("content-type".to_owned(), "application/json".to_owned())],
                    format!("{{\"error\":\"status {status}\"}}").into_bytes(),
                ),
                BodyKind::Empty => (Vec::new(), Vec::new()),
            };
            headers.extend(retry_after_s.map(|seconds| ("retry-after".to_owned(), seconds.to_string())));
            HttpOut { status, headers, body, mangle: Mangle::None }
        }
        HttpFaultKind::HtmlOk => {
            HttpOut { status: 200, headers: html(), body: PAGE.as_bytes().to_vec(), mangle: Mangle::None }
        }
        HttpFaultKind::Code { code, msg } => {
            let body = serde_json::json!({ "retCode": code, "retMsg": msg, "result": {}, "retExtInfo": {} });
            HttpOut { body: body.to_string().into_bytes(), ..out }
        }
        HttpFaultKind::Hang => HttpOut { mangle: Mangle::Hang, ..out },
        HttpFaultKind::Drop => HttpOut { mangle: Mangle::DropConnection, ..out },
        HttpFaultKind::Reset => HttpOut { mangle: Mangle::Reset, ..out },
        HttpFaultKind::Truncate { bytes } => HttpOut { mangle: Mangle::Truncate(bytes), ..out },
        HttpFaultKind::Endless => HttpOut { mangle: Mangle::Endless, ..out },
    }
}
