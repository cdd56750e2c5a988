//! The private streams and the trading socket.
//!
//! Always holds: a push goes to every socket of the account that asked for it and to no other. Nothing is sent again
//! after a connection was lost, and nothing when one begins.

use serde_json::{Map, Value, json};

use super::Gateway;
use super::answer::Answer;
use super::gate::{Refused, Reply, ReplyTo, Wanted};
use super::names::Category;
use super::query::Fields;
use super::routes::Endpoint;
use crate::exchange::dialects::SocketId;
use crate::exchange::ledger::Line;
use crate::exchange::{AccountId, Cause, FillView, Micros, Push};

impl Gateway {
    /// News of the model about an account.
    pub(super) fn pushed(&mut self, account: AccountId, push: &Push) {
        match push {
            Push::Order(view) => {
                let row = self.order_push_row(view);
                let category = category_of(&row);
                self.tell(account, "order", &category, &[row]);
            }
            Push::Fill(view) => self.tell_fill(account, view),
        }
    }

    fn tell_fill(&mut self, account: AccountId, view: &FillView) {
        let row = self.fill_push_row(account, view);
        let category = category_of(&row);
        self.tell(account, "execution", &category, &[row]);
        if view.cause == Cause::Trade {
            let fast = self.fill_fast_row(account, view);
            self.tell(account, "execution.fast", &category, &[fast]);
        }
        if self.anyone_wants(account, "wallet", &category) {
            let wallet = self.wallet(account, &[]);
            self.tell(account, "wallet", &category, &[wallet]);
        }
        let pit = self.pit_of(&view.symbol).filter(|pit| self.listed[*pit].category == Category::Linear);
        if let Some(pit) = pit.filter(|_| self.anyone_wants(account, "position", &category)) {
            let mut rows = self.positions(account, Some(pit), None);
            for row in &mut rows {
                row["category"] = json!("linear");
            }
            self.tell(account, "position", &category, &rows);
        }
    }

    fn anyone_wants(&self, account: AccountId, topic: &str, category: &str) -> bool {
        self.sockets.values().any(|session| {
            session.holder.is_some_and(|(holder, _)| holder == account) && session.wants(topic, category)
        })
    }

    fn tell(&mut self, account: AccountId, topic: &str, category: &str, rows: &[Value]) {
        let sessions = self.sockets.iter().filter(|(_, session)| {
            session.holder.is_some_and(|(holder, _)| holder == account) && session.wants(topic, category)
        });
        let told: Vec<(SocketId, String)> = sessions
            .map(|(socket, session)| {
                let named =
                    if session.topics.contains(topic) { topic.to_owned() } else { format!("{topic}.{category}") };
                (*socket, named)
            })
            .collect();
        for (socket, named) in told {
            self.last_slot += 1;
            let mut text = json!({ "topic": named, "creationTime": self.ms(self.now), "data": rows });
            if !topic.starts_with("execution.fast") {
                text["id"] = json!(format!("{}_{}", 100_000 + i64::from(account.0), self.last_slot));
            }
            self.send(socket, text.to_string());
        }
    }

    pub(super) fn trade_auth(&mut self, socket: SocketId, message: &Value) {
        let already = self.sockets.get(&socket).is_some_and(|session| session.holder.is_some());
        let (code, words) = match self.login(message) {
            _ if already => (20_001, "Repeat auth"),
            Ok(holder) => {
                if let Some(session) = self.sockets.get_mut(&socket) {
                    session.holder = Some(holder);
                }
                (0, "OK")
            }
            Err(refused) => refused,
        };
        let conn_id = self.conn_id(socket);
        let text = json!({ "retCode": code, "retMsg": words, "op": "auth", "connId": conn_id });
        self.send(socket, text.to_string());
    }

    /// A request over the trading socket: the same desk, another envelope.
    pub(super) fn trade_request(&mut self, socket: SocketId, op: &str, message: &Value) {
        let req_id = message.get("reqId").and_then(Value::as_str).unwrap_or_default().to_owned();
        let header = |name: &str| {
            let found = message.get("header").and_then(|header| header.get(name));
            found.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).unwrap_or_default()
        };
        let (time, window) = (header("X-BAPI-TIMESTAMP"), header("X-BAPI-RECV-WINDOW"));
        let endpoint = match op {
            "order.create" => Some(Endpoint::Create),
            "order.create-batch" => Some(Endpoint::CreateBatch),
            "order.amend" => Some(Endpoint::Amend),
            "order.cancel" => Some(Endpoint::Cancel),
            "order.cancel-batch" => Some(Endpoint::CancelBatch),
            _ => None,
        };
        let args = message.get("args").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let fields = match args {
            [only] => Fields::from_value(only),
            _ => None,
        };
        let let_in = match (endpoint, fields.clone(), self.in_time(&time, &window)) {
            (None, ..) => Err(Refused::saying(Answer::error(10_404, "op is not supported"))),
            (_, None, _) => Err(Refused::saying(Answer::error(10_001, "params error: args is invalid"))),
            (.., Err(late)) => Err(Refused::saying(late)),
            (Some(endpoint), Some(fields), Ok(deadline)) => match self.holder_of(socket, deadline) {
                None => Err(Refused::saying(Answer::error(10_007, "User authentication failed."))),
                Some(access) => self.counted(endpoint, access, fields),
            },
        };
        let account = self.holder_of(socket, Micros::default()).map(|access| access.account);
        let ticket = self.own_ticket();
        self.exchange.note(Line::Http {
            ticket,
            method: "WS".to_owned(),
            path: op.chars().take(80).collect(),
            account,
            client_ids: fields.as_ref().map(Fields::links).unwrap_or_default(),
            code: let_in.as_ref().map_or_else(|refused| refused.answer.code, |_| 0),
            cut: let_in.as_ref().map_or(0, Wanted::cut),
        });
        let to = ReplyTo::Trade { socket, req_id, op: op.to_owned() };
        let reply = Reply { to, shown: None, strike: None };
        match let_in {
            Err(Refused { answer, shown, .. }) => self.finish(Reply { shown, ..reply }, &answer),
            Ok(wanted) => self.admit(wanted, reply),
        }
    }

    /// An answer on the trading socket.
    pub(super) fn trade_text(
        &mut self,
        reply: &Reply,
        req_id: &str,
        op: &str,
        socket: SocketId,
        answer: &Answer,
    ) -> String {
        let mut header = Map::new();
        for (name, value) in self.limit_headers(reply.shown) {
            header.insert(name, json!(value));
        }
        self.last_slot += 1;
        header.insert("Traceid".to_owned(), json!(format!("{:032x}", self.last_slot)));
        header.insert("Timenow".to_owned(), json!(self.ms(self.now).to_string()));
        let mut text = json!({
            "retCode": answer.code,
            "retMsg": answer.msg,
            "op": op,
            "data": answer.result,
            "retExtInfo": answer.ext,
            "header": header,
            "connId": self.conn_id(socket),
        });
        if !req_id.is_empty() {
            text["reqId"] = json!(req_id);
        }
        text.to_string()
    }
}

fn category_of(row: &Value) -> String {
    row["category"].as_str().unwrap_or_default().to_owned()
}
