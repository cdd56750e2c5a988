//! Answers: the envelope, and the venue's numbers for what went wrong.

use serde_json::{Value, json};

use super::names::Category;
use crate::exchange::ErrorCode;

/// An answer before it has a time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) code: i64,
    pub(super) msg: String,
    pub(super) result: Value,
    pub(super) ext: Value,
    /// Without result and time, as a few answers are.
    pub(super) short: bool,
}

impl Answer {
    pub(super) fn ok(result: Value) -> Answer {
        Answer { code: 0, msg: "OK".to_owned(), result, ext: json!({}), short: false }
    }

    pub(super) fn error(code: i64, msg: &str) -> Answer {
        Answer { code, msg: msg.to_owned(), result: json!({}), ext: json!({}), short: false }
    }

    pub(super) fn saying(self, msg: &str) -> Answer {
        Answer { msg: msg.to_owned(), ..self }
    }

    pub(super) fn with_ext(self, ext: Value) -> Answer {
        Answer { ext, ..self }
    }

    /// The body of an answer over HTTP.
    pub(super) fn body(&self, time_ms: i64) -> Vec<u8> {
        let body = if self.short {
            json!({ "retCode": self.code, "retMsg": self.msg })
        } else {
            json!({
                "retCode": self.code,
                "retMsg": self.msg,
                "result": self.result,
                "retExtInfo": self.ext,
                "time": time_ms,
            })
        };
        body.to_string().into_bytes()
    }
}

/// What the model refuses, in this venue's words. `odd` varies the words where the venue has several for one thing.
pub(super) fn refusal(code: &ErrorCode, category: Category, odd: bool) -> (i64, String) {
    let spot = category == Category::Spot;
    let (number, words): (i64, &str) = match code {
        ErrorCode::OrderNotFound if spot => (170_213, "Order does not exist."),
        ErrorCode::OrderNotFound if odd => (110_001, "order not exists or too late to cancel"),
        ErrorCode::OrderNotFound => (110_001, "Order does not exist"),
        ErrorCode::AlreadyFilled if spot && odd => (170_139, "Order has been filled."),
        ErrorCode::AlreadyCanceled if spot && odd => (170_142, "Order has been canceled."),
        ErrorCode::AlreadyFilled | ErrorCode::AlreadyCanceled if spot => (170_213, "Order does not exist."),
        ErrorCode::AlreadyFilled if odd => (110_008, "Order has been finished or canceled"),
        ErrorCode::AlreadyCanceled if odd => (110_010, "Order has been canceled"),
        ErrorCode::AlreadyFilled | ErrorCode::AlreadyCanceled => (110_001, "order not exists or too late to cancel"),
        ErrorCode::AlreadyCanceling if spot => (170_212, "Cancel order is processing"),
        ErrorCode::AlreadyCanceling => (110_001, "order not exists or too late to cancel"),
        ErrorCode::WouldCross if spot => (170_218, "The LIMIT-MAKER order is rejected due to invalid price."),
        ErrorCode::WouldCross => (10_001, "params error: post only order would take liquidity"),
        ErrorCode::Funds if spot => (170_131, "Insufficient balance."),
        ErrorCode::Funds => (110_007, "ab not enough for new order"),
        ErrorCode::TooManyOrders => return too_many(category),
        ErrorCode::DuplicateId if spot => (170_141, "Duplicate clientOrderId"),
        ErrorCode::DuplicateId => (110_072, "OrderLinkedID is duplicate"),
        ErrorCode::RateLimited { .. } => (10_006, "Too many visits!"),
        ErrorCode::Deadline => (10_002, "invalid request, please check your server timestamp or recv_window param."),
        ErrorCode::Server if odd => (10_000, "Server Timeout"),
        ErrorCode::Server => (10_016, "Internal error"),
        ErrorCode::BadRequest(why) => return broken_rule(why, spot),
    };
    (number, words.to_owned())
}

pub(super) fn too_many(category: Category) -> (i64, String) {
    match category {
        Category::Spot => (170_810, "Cannot exceed maximum of 500 conditional, TP/SL and active orders.".to_owned()),
        Category::Linear => {
            (110_020, "You can't have more than 500 active orders and 10 conditional orders.".to_owned())
        }
    }
}

/// A rule of the model, in this venue's numbers.
fn broken_rule(why: &str, spot: bool) -> (i64, String) {
    let numbers = if why.starts_with("price") {
        (170_134, 10_001)
    } else if why.starts_with("quantity is not") {
        (170_137, 10_001)
    } else if why.starts_with("quantity or worth") {
        (170_140, 110_094)
    } else if why == crate::exchange::trading::NOTHING_TO_REDUCE {
        (170_192, 110_017)
    } else if why.contains("no new orders") {
        (170_121, 110_074)
    } else {
        (10_001, 10_001)
    };
    let number = if spot { numbers.0 } else { numbers.1 };
    (number, format!("params error: {why}"))
}

/// A refusal as a whole answer.
pub(super) fn refused(code: &ErrorCode, category: Category, odd: bool) -> Answer {
    let (number, words) = refusal(code, category, odd);
    let answer = Answer::error(number, &words);
    match code {
        // Where the venue itself breaks, even the envelope is not what it should be.
        ErrorCode::Server => Answer { result: Value::Null, ext: Value::Null, ..answer },
        ErrorCode::DuplicateId if category == Category::Spot => answer.with_ext(json!("")),
        _ => answer,
    }
}
