//! The gate: who is it, is it signed, is it in time, is it too fast. Then it is carried out.
//!
//! Always holds: whatever arrived stands in the ledger before anything comes of it. A refused request changes nothing.
//! Never does: name a secret or a wanted signature in an answer.

use serde_json::json;

use super::answer::Answer;
use super::desk::{Outcome, Pending};
use super::mishaps::{HttpStrike, mangled};
use super::names::Category;
use super::query::Fields;
use super::routes::Endpoint;
use super::windows::Shown;
use super::{Gateway, sign};
use crate::exchange::dialects::{HttpIn, HttpOut, Mangle, SocketId};
use crate::exchange::ledger::Line;
use crate::exchange::{AccountId, Micros, Ticket};

const DEFAULT_WINDOW_MS: i64 = 5_000;
const FUTURE_MS_MAX: i64 = 1_000;

/// Where an answer goes.
#[derive(Clone, Debug)]
pub(super) enum ReplyTo {
    Http(Ticket),
    Trade { socket: SocketId, req_id: String, op: String },
    Nobody,
}

/// An answer's way, and what goes on it.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) to: ReplyTo,
    pub(super) shown: Option<Shown>,
    /// What goes wrong though it was carried out.
    pub(super) strike: Option<HttpStrike>,
}

/// Somebody who was let in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    pub(super) account: AccountId,
    /// The key's place in the setup.
    pub(super) key: usize,
    /// When what was asked is too late, in the model's time.
    pub(super) deadline: Micros,
}

/// Why somebody is not let in.
pub(super) struct Refused {
    /// Of the HTTP answer; with any but 200 only the words are said.
    status: u16,
    pub(super) answer: Answer,
    pub(super) shown: Option<Shown>,
}

impl Refused {
    pub(super) fn saying(answer: Answer) -> Refused {
        Refused { status: 200, answer, shown: None }
    }

    fn page(status: u16, words: &str) -> Refused {
        Refused { status, answer: Answer::error(i64::from(status), words), shown: None }
    }
}

/// A request of a client, the same over HTTP and over a trading socket.
pub(super) struct Wanted {
    pub(super) endpoint: Endpoint,
    pub(super) access: Option<Access>,
    pub(super) fields: Fields,
    /// How many legs of a batch the limit lets in.
    pub(super) granted: usize,
    pub(super) shown: Option<Shown>,
}

impl Wanted {
    /// How many legs of a batch the limit cuts off.
    pub(super) fn cut(&self) -> usize {
        if !self.endpoint.batch() {
            return 0;
        }
        self.fields.list("request").map_or(0, |legs| legs.len().saturating_sub(self.granted))
    }
}

impl Gateway {
    pub(super) fn http_arrived(&mut self, ticket: Ticket, request: &HttpIn) {
        let (path, query) = request.path_and_query.split_once('?').unwrap_or((&request.path_and_query, ""));
        let key = request.header("x-bapi-api-key").unwrap_or_default();
        let account = self.keys.iter().find(|known| known.api_key == key).map(|known| known.account);
        let fields = match request.method.as_str() {
            "GET" => Ok(Fields::from_query(query)),
            _ => Fields::from_body(&request.body),
        };
        let client_ids = fields.as_ref().map(Fields::links).unwrap_or_default();
        let let_in = self.let_in(request, path, query, fields);
        self.exchange.note(Line::Http {
            ticket,
            method: request.method.chars().take(8).collect(),
            path: path.chars().take(80).collect(),
            account,
            client_ids: client_ids.clone(),
            code: let_in.as_ref().map_or_else(|refused| refused.answer.code, |_| 0),
            cut: let_in.as_ref().map_or(0, Wanted::cut),
        });
        let strike = self.strike_http(&request.method, path, account, ticket, client_ids);
        let reply = Reply { to: ReplyTo::Http(ticket), shown: None, strike: None };
        match (let_in, strike) {
            (_, Some(strike)) if strike.before => {
                let plain = Answer::error(10_016, "Internal error");
                let out = mangled(self.http_out(&reply, &plain), strike.kind);
                self.send_http(ticket, out);
            }
            (Err(Refused { status: 200, answer, shown }), strike) => {
                self.finish(Reply { strike, shown, ..reply }, &answer);
            }
            (Err(Refused { status, answer, .. }), strike) => {
                let body = answer.msg.into_bytes();
                let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
                let out = HttpOut { status, headers, body, mangle: Mangle::None };
                let out = match strike {
                    Some(strike) => mangled(out, strike.kind),
                    None => out,
                };
                self.send_http(ticket, out);
            }
            (Ok(wanted), strike) => self.admit(wanted, Reply { strike, ..reply }),
        }
    }

    /// Whether it may go on.
    fn let_in(
        &mut self,
        request: &HttpIn,
        path: &str,
        query: &str,
        fields: Result<Fields, Answer>,
    ) -> Result<Wanted, Refused> {
        if !self.windows.address_may(&self.limits, self.now) {
            return Err(Refused::page(403, "<html><body>403 Forbidden: access too frequent</body></html>"));
        }
        let Some(endpoint) = Endpoint::of(&request.method, path) else {
            return Err(Refused::page(404, "404 page not found"));
        };
        if request.method == "GET" && !request.body.is_empty() {
            return Err(Refused::page(403, "<html><body>403 Forbidden</body></html>"));
        }
        if self.mishaps.maintenance && !matches!(endpoint, Endpoint::Status | Endpoint::Time) {
            return Err(Refused::saying(Answer::error(10_016, "service is under maintenance")));
        }
        if endpoint.public() {
            let fields = fields.map_err(Refused::saying)?;
            return Ok(Wanted { endpoint, access: None, fields, granted: usize::MAX, shown: None });
        }
        let access = self.known(request, query).map_err(Refused::saying)?;
        self.counted(endpoint, access, fields.map_err(Refused::saying)?)
    }

    /// Whether its holder may do that, and not too fast.
    pub(super) fn counted(&mut self, endpoint: Endpoint, access: Access, fields: Fields) -> Result<Wanted, Refused> {
        if endpoint.trades() && !self.keys[access.key].may_trade {
            let words = "Permission denied, please check your API key permissions.";
            return Err(Refused::saying(Answer::error(10_005, words)));
        }
        let named = fields.category().ok().flatten();
        let category = named.unwrap_or(Category::Linear);
        let legs = fields.list("request").map_or(1, <[_]>::len);
        let cost = if endpoint.batch() { u32::try_from(legs.max(1)).unwrap_or(u32::MAX) } else { 1 };
        let counted = (access.account, endpoint, category);
        let (granted, shown) = self.windows.take(&self.limits, self.now, counted, cost);
        if granted == 0 {
            return Err(Refused { shown, ..Refused::saying(Answer::error(10_006, "Too many visits!")) });
        }
        Ok(Wanted { endpoint, access: Some(access), fields, granted: granted as usize, shown })
    }

    /// Who signed it, if it is signed well and in time.
    fn known(&self, request: &HttpIn, query: &str) -> Result<Access, Answer> {
        let header = |name: &str| request.header(name).unwrap_or_default();
        let (key, time, signed) = (header("x-bapi-api-key"), header("x-bapi-timestamp"), header("x-bapi-sign"));
        let window = header("x-bapi-recv-window");
        if key.is_empty() || time.is_empty() || signed.is_empty() {
            return Err(Answer::error(10_001, "empty value: apiTimestamp[] apiKey[] apiSignature[]"));
        }
        let (account, place) = self.holder(key)?;
        let deadline = self.in_time(time, window)?;
        let mut text = format!("{time}{key}{window}").into_bytes();
        match request.method.as_str() {
            "GET" => text.extend_from_slice(query.as_bytes()),
            _ => text.extend_from_slice(&request.body),
        }
        if !sign::fits(&self.keys[place].api_secret, &text, signed) {
            return Err(bad_signature(&text));
        }
        Ok(Access { account, key: place, deadline })
    }

    pub(super) fn holder(&self, key: &str) -> Result<(AccountId, usize), Answer> {
        let place = self.keys.iter().position(|known| known.api_key == key);
        let place = place.ok_or_else(|| Answer::error(10_003, "API key is invalid."))?;
        Ok((self.keys[place].account, place))
    }

    /// When a request with this timestamp and window is too late, in the model's time; or that it is already, or too early.
    pub(super) fn in_time(&self, time: &str, window: &str) -> Result<Micros, Answer> {
        let bad = |name: &str| Answer::error(10_001, &format!("params error: {name} is invalid"));
        let time_ms: i64 = time.parse().map_err(|_| bad("timestamp"))?;
        let window_ms: i64 = match window {
            "" => DEFAULT_WINDOW_MS,
            text => text.parse().ok().filter(|ms| *ms >= 0).ok_or_else(|| bad("recv_window"))?,
        };
        let server_ms = self.ms(self.now);
        let latest = server_ms.saturating_add(FUTURE_MS_MAX);
        if time_ms < server_ms.saturating_sub(window_ms) || time_ms >= latest {
            return Err(out_of_time(time_ms, server_ms, window_ms));
        }
        Ok(self.model_time(time_ms.saturating_add(window_ms)))
    }

    /// Has it carried out.
    pub(super) fn admit(&mut self, wanted: Wanted, reply: Reply) {
        let Wanted { endpoint, access, fields, granted, shown } = wanted;
        let reply = Reply { shown, ..reply };
        match self.carry_out(endpoint, access, &fields, granted) {
            Err(answer) | Ok(Outcome::Now(answer)) => self.finish(reply, &answer),
            Ok(Outcome::Ask(ask, shape)) => {
                let ticket = match reply.to {
                    ReplyTo::Http(ticket) => ticket,
                    _ => self.own_ticket(),
                };
                let account = access.map_or_else(|| self.anyone(), |access| access.account);
                self.pending.insert(ticket, Pending { reply, shape, account });
                self.exchange.submit(self.now, account, ticket, ask);
            }
        }
    }

    /// An account that public questions are asked for.
    fn anyone(&self) -> AccountId {
        self.exchange.accounts.keys().next().copied().unwrap_or(AccountId(0))
    }

    /// The bytes of an answer, with what goes wrong on its way.
    pub(super) fn http_out(&mut self, reply: &Reply, answer: &Answer) -> HttpOut {
        let now_ms = self.ms(self.now);
        let mut headers = vec![
            ("content-type".to_owned(), "application/json; charset=utf-8".to_owned()),
            ("timenow".to_owned(), now_ms.to_string()),
            ("ret_code".to_owned(), answer.code.to_string()),
        ];
        headers.extend(self.limit_headers(reply.shown));
        let out = HttpOut { status: 200, headers, body: answer.body(now_ms), mangle: Mangle::None };
        match &reply.strike {
            Some(strike) => mangled(out, strike.kind.clone()),
            None => out,
        }
    }

    pub(super) fn limit_headers(&self, shown: Option<Shown>) -> Vec<(String, String)> {
        let Some(shown) = shown else {
            return Vec::new();
        };
        vec![
            ("X-Bapi-Limit".to_owned(), shown.limit.to_string()),
            ("X-Bapi-Limit-Status".to_owned(), shown.left.to_string()),
            ("X-Bapi-Limit-Reset-Timestamp".to_owned(), self.ms(shown.reset).to_string()),
        ]
    }
}

pub(super) fn out_of_time(time_ms: i64, server_ms: i64, window_ms: i64) -> Answer {
    let words = format!(
        "invalid request, please check your server timestamp or recv_window param. req_timestamp[{time_ms}],server_timestamp[{server_ms}],recv_window[{window_ms}]"
    );
    Answer::error(10_002, &words)
}

/// The venue echoes what it signed, key name included: whoever logs that, leaks it.
fn bad_signature(text: &[u8]) -> Answer {
    let text: String = String::from_utf8_lossy(text).chars().take(200).collect();
    let words = format!("error sign! origin_string[{text}]");
    let answer = Answer::error(10_004, &words);
    Answer { ext: json!({}), ..answer }
}
