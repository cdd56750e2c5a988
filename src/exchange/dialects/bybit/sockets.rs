//! Sockets: who is connected, what they subscribed, when they were heard of last.
//!
//! Always holds: what goes to one socket keeps its order. A socket that asked for nothing for too long is cut off.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::gate::Access;
use super::names::Category;
use super::switch::Product;
use super::{Due, Gateway, query, sign};
use crate::exchange::dialects::{CloseHow, GatewayOut, SocketId};
use crate::exchange::{AccountId, Micros};

const IDLE_US: i64 = 600_000_000;
const SPOT_ARGS_MAX: usize = 10;
const ARGS_CHARACTERS_MAX: usize = 21_000;

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Public(Category),
    Private,
    Trade,
    Status,
}

/// A socket.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) purpose: Purpose,
    /// Whose it is, and by which key.
    pub(super) holder: Option<(AccountId, usize)>,
    pub(super) topics: BTreeSet<String>,
    pub(super) conn_id: String,
    /// When the last message to it lands.
    pub(super) lands: Micros,
    /// Nothing goes out until then, and what would have is lost.
    pub(super) silent_until: Option<Micros>,
    heard_at: Micros,
    idle_us: i64,
}

impl Session {
    /// Whether it subscribed this, or the part of it that is about this category.
    pub(super) fn wants(&self, topic: &str, category: &str) -> bool {
        self.topics.contains(topic) || self.topics.contains(&format!("{topic}.{category}"))
    }
}

impl Gateway {
    pub(super) fn opened(&mut self, socket: SocketId, path_and_query: &str) {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let purpose = match path {
            "/v5/public/spot" => Purpose::Public(Category::Spot),
            "/v5/public/linear" => Purpose::Public(Category::Linear),
            "/v5/private" => Purpose::Private,
            "/v5/trade" => Purpose::Trade,
            "/v5/public/misc/status" => Purpose::Status,
            _ => {
                self.schedule(self.now, Due::Leave(GatewayOut::CloseSocket(socket, CloseHow::Gracefully)));
                return self.seat(socket, Purpose::Status, IDLE_US);
            }
        };
        let asked = query::pairs(query).get("max_active_time").and_then(|text| idle_time(text));
        let adjustable = matches!(purpose, Purpose::Private | Purpose::Trade);
        self.seat(socket, purpose, asked.filter(|_| adjustable).unwrap_or(IDLE_US));
    }

    fn seat(&mut self, socket: SocketId, purpose: Purpose, idle_us: i64) {
        let end = match purpose {
            Purpose::Private => "-p",
            Purpose::Trade => "-t",
            _ => "",
        };
        let session = Session {
            purpose,
            holder: None,
            topics: BTreeSet::new(),
            conn_id: format!("c{:019x}{end}", socket.0),
            lands: self.now,
            silent_until: None,
            heard_at: self.now,
            idle_us,
        };
        self.sockets.insert(socket, session);
        self.schedule(self.now.plus(idle_us), Due::Idle(socket));
    }

    /// Cuts a socket that has not been heard of for too long.
    pub(super) fn idle(&mut self, socket: SocketId) {
        let Some(session) = self.sockets.get(&socket) else {
            return;
        };
        let cut = session.heard_at.plus(session.idle_us);
        if cut <= self.now {
            self.close_socket(socket, CloseHow::Gracefully);
        } else {
            self.schedule(cut, Due::Idle(socket));
        }
    }

    /// The socket is no more.
    pub(super) fn gone(&mut self, socket: SocketId) {
        self.sockets.remove(&socket);
    }

    /// Sends a text, behind everything that was sent before.
    pub(super) fn send(&mut self, socket: SocketId, text: String) {
        let latency_us = self.draw_latency();
        let now = self.now;
        let Some(session) = self.sockets.get_mut(&socket) else {
            return;
        };
        if session.silent_until.is_some_and(|until| now < until) {
            return;
        }
        session.lands = session.lands.max(now.plus(latency_us));
        let at = session.lands;
        self.schedule(at, Due::Leave(GatewayOut::Text(socket, text)));
    }

    pub(super) fn heard(&mut self, socket: SocketId, text: &str) {
        let now = self.now;
        let Some(session) = self.sockets.get_mut(&socket) else {
            return;
        };
        session.heard_at = now;
        let purpose = session.purpose;
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            return self.refuse(socket, "", "", "Invalid JSON");
        };
        let op = message.get("op").and_then(Value::as_str).unwrap_or_default().to_owned();
        let req_id = message.get("req_id").and_then(Value::as_str).unwrap_or_default().to_owned();
        match (op.as_str(), purpose) {
            ("ping", _) => self.ping(socket, purpose, &req_id, &message),
            ("auth", Purpose::Private) => self.auth(socket, &req_id, &message),
            ("auth", Purpose::Trade) => self.trade_auth(socket, &message),
            (_, Purpose::Trade) => self.trade_request(socket, &op, &message),
            ("subscribe", _) => self.subscribe(socket, purpose, &req_id, &message),
            ("unsubscribe", _) => self.unsubscribe(socket, &req_id, &message),
            _ => self.refuse(socket, &req_id, &op, "unknown op"),
        }
    }

    fn refuse(&mut self, socket: SocketId, req_id: &str, op: &str, why: &str) {
        let conn_id = self.conn_id(socket);
        let text = json!({ "success": false, "ret_msg": why, "conn_id": conn_id, "req_id": req_id, "op": op });
        self.send(socket, text.to_string());
    }

    pub(super) fn conn_id(&self, socket: SocketId) -> String {
        self.sockets.get(&socket).map(|session| session.conn_id.clone()).unwrap_or_default()
    }

    fn ping(&mut self, socket: SocketId, purpose: Purpose, req_id: &str, message: &Value) {
        let now_ms = self.ms(self.now).to_string();
        let conn_id = self.conn_id(socket);
        let mut pong = match purpose {
            Purpose::Private => {
                let args = message.get("args").cloned().filter(Value::is_array);
                json!({ "args": args.unwrap_or_else(|| json!([now_ms])), "op": "pong" })
            }
            Purpose::Trade => {
                json!({ "retCode": 0, "retMsg": "OK", "op": "pong", "data": [now_ms], "connId": conn_id })
            }
            Purpose::Public(Category::Spot) | Purpose::Public(Category::Linear) | Purpose::Status => {
                json!({ "success": true, "ret_msg": "pong", "conn_id": conn_id, "op": "ping" })
            }
        };
        if !req_id.is_empty() {
            pong["req_id"] = json!(req_id);
        }
        self.send(socket, pong.to_string());
        self.alive(socket);
    }

    /// Whether a login is good: key, moment, signature over `GET/realtime` and the moment.
    pub(super) fn login(&self, message: &Value) -> Result<(AccountId, usize), (i64, &'static str)> {
        let args = message.get("args").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let [key, expires, signed, ..] = args else {
            return Err((10_001, "Params Error"));
        };
        let expires_ms = expires.as_i64().or_else(|| expires.as_str().and_then(|text| text.parse().ok()));
        let (Some(key), Some(expires_ms), Some(signed)) = (key.as_str(), expires_ms, signed.as_str()) else {
            return Err((10_001, "Params Error"));
        };
        let Ok((account, place)) = self.holder(key) else {
            return Err((10_003, "API key is invalid."));
        };
        if expires_ms <= self.ms(self.now) {
            return Err((10_004, "Params Error: expires time is before current time"));
        }
        let text = format!("GET/realtime{expires_ms}");
        if !sign::fits(&self.keys[place].api_secret, text.as_bytes(), signed) {
            return Err((10_004, "error sign!"));
        }
        Ok((account, place))
    }

    fn auth(&mut self, socket: SocketId, req_id: &str, message: &Value) {
        let verdict = self.login(message);
        let conn_id = self.conn_id(socket);
        let mut text = match verdict {
            Ok(_) => json!({ "success": true, "ret_msg": "", "op": "auth", "conn_id": conn_id }),
            Err((_, why)) => json!({ "success": false, "ret_msg": why, "op": "auth", "conn_id": conn_id }),
        };
        if !req_id.is_empty() {
            text["req_id"] = json!(req_id);
        }
        self.send(socket, text.to_string());
        match verdict {
            Ok(holder) => {
                if let Some(session) = self.sockets.get_mut(&socket) {
                    session.holder = Some(holder);
                }
            }
            Err(_) => self.close_socket(socket, CloseHow::Gracefully),
        }
    }

    /// Somebody on a trading socket, with the deadline of what they ask.
    pub(super) fn holder_of(&self, socket: SocketId, deadline: Micros) -> Option<Access> {
        let (account, key) = self.sockets.get(&socket)?.holder?;
        Some(Access { account, key, deadline })
    }

    fn subscribe(&mut self, socket: SocketId, purpose: Purpose, req_id: &str, message: &Value) {
        let topics = topics_of(message);
        let why_not = match purpose {
            _ if topics.is_empty() => Some("Request is empty".to_owned()),
            _ if self.strike_subscribe(socket, &topics) => Some("error:subscribe failed, please try again".to_owned()),
            Purpose::Public(category) => self.public_refusal(socket, category, &topics),
            Purpose::Private => self.private_refusal(socket, &topics),
            Purpose::Status if topics.iter().all(|topic| topic == "system.status") => None,
            Purpose::Status | Purpose::Trade => Some(unknown_topic(&topics[0])),
        };
        if let Some(why) = why_not {
            return self.refuse(socket, req_id, "subscribe", &why);
        }
        let conn_id = self.conn_id(socket);
        let said = if purpose == Purpose::Private { "" } else { "subscribe" };
        let text = json!({ "success": true, "ret_msg": said, "conn_id": conn_id, "req_id": req_id, "op": "subscribe" });
        self.send(socket, text.to_string());
        let mut fresh = Vec::new();
        if let Some(session) = self.sockets.get_mut(&socket) {
            for topic in topics {
                if session.topics.insert(topic.clone()) {
                    fresh.push(topic);
                }
            }
        }
        match purpose {
            Purpose::Public(category) => self.begin_feeds(socket, category, &fresh),
            Purpose::Private => self.alive(socket),
            Purpose::Status | Purpose::Trade => {}
        }
    }

    fn public_refusal(&self, socket: SocketId, category: Category, topics: &[String]) -> Option<String> {
        if category == Category::Spot && topics.len() > SPOT_ARGS_MAX {
            return Some("args size >10".to_owned());
        }
        let held = self.sockets.get(&socket).map(|session| &session.topics).into_iter().flatten();
        let characters: usize = held.chain(topics).map(String::len).sum();
        if characters > ARGS_CHARACTERS_MAX {
            return Some("args length is too long".to_owned());
        }
        topics.iter().find(|topic| !self.is_public_topic(category, topic)).map(|topic| unknown_topic(topic))
    }

    fn private_refusal(&self, socket: SocketId, topics: &[String]) -> Option<String> {
        let Some((account, _)) = self.sockets.get(&socket).and_then(|session| session.holder) else {
            return Some("Request not authorized".to_owned());
        };
        for (whole, parts) in [("order", "order."), ("execution", "execution."), ("position", "position.")] {
            let has_whole = topics.iter().any(|topic| topic == whole);
            let has_part = topics.iter().any(|topic| topic.starts_with(parts) && !topic.starts_with("execution.fast"));
            if has_whole && has_part {
                return Some(format!("error:{whole} and {parts}* cannot be subscribed together"));
            }
        }
        let known = |topic: &String| match topic.as_str() {
            "order" | "execution" | "execution.fast" | "wallet" | "position" | "greeks" => true,
            other => match Product::of_topic(other) {
                Some(_) => self.has_switch(account),
                None => other.split_once('.').is_some_and(|(topic, category)| {
                    ["order", "execution", "position", "execution.fast"].contains(&topic)
                        && ["spot", "linear", "inverse", "option"].contains(&category)
                        || other.starts_with("execution.fast.")
                }),
            },
        };
        topics.iter().find(|topic| !known(topic)).map(|topic| unknown_topic(topic))
    }

    fn unsubscribe(&mut self, socket: SocketId, req_id: &str, message: &Value) {
        let conn_id = self.conn_id(socket);
        if let Some(session) = self.sockets.get_mut(&socket) {
            for topic in topics_of(message) {
                session.topics.remove(&topic);
            }
        }
        let text = json!({ "success": true, "ret_msg": "", "conn_id": conn_id, "req_id": req_id, "op": "unsubscribe" });
        self.send(socket, text.to_string());
    }
}

fn unknown_topic(topic: &str) -> String {
    let topic: String = topic.chars().take(80).collect();
    format!("error:handler not found,topic:{topic}")
}

fn topics_of(message: &Value) -> Vec<String> {
    let args = message.get("args").and_then(Value::as_array).into_iter().flatten();
    args.filter_map(Value::as_str).take(500).map(str::to_owned).collect()
}

/// `30s` to `600s`, or `1m` to `10m`.
fn idle_time(text: &str) -> Option<i64> {
    let seconds = match text.strip_suffix('s') {
        Some(seconds) => seconds.parse::<i64>().ok()?,
        None => text.strip_suffix('m')?.parse::<i64>().ok()?.checked_mul(60)?,
    };
    (30..=600).contains(&seconds).then_some(seconds * 1_000_000)
}
