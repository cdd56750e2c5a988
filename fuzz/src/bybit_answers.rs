//! Any HTTP answer, read for every kind of call.
//!
//! The input looks like an answer: a line `<number>|<cursor>` (the part of a conversation, and the token of a page), a
//! line with the status (`lost` and `unsent` are no answers at all), lines `name: value`, an empty line, the body. It is
//! read for each call by two accounts; where a conversation goes on, the same answer comes again.
//!
//! Must hold: a create or a cancel is done only by a whole envelope of status 200 with code 0, and refused only by a code
//! or a status of the tables; a batch judges only orders it was asked about, each by a line that may be about it; an
//! order is absent only by an empty list; what a codec wants to ask next, it can ask; no text holds the key.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lastorders::domain::instrument::VenueTraits;
use lastorders::domain::order::OrderKey;
use lastorders::domain::request::{Answered, Call, Facts, Page, Refusal, RefusalKind};
use lastorders::venues::bybit::codes::{About, Verdict, of_status, verdict};
use lastorders::venues::wire::{HttpOutcome, HttpResponse};
use lastorders::venues::{Codec, Part, Read, Reading};
use serde_json::Value;

use crate::accounts::{self, KEY, NOW, SECRET, Shape};
use crate::script::number_or;

/// Longer than any text of a codec: 200 characters of the venue's and a sentence of ours.
const TEXT_BYTES_MAX: usize = 4_000;
/// No answer silences us for longer, cancels included, before the venue is asked again.
const WAIT_MAX: Duration = Duration::from_secs(3_600);
/// Answers of one conversation that are looked at.
const PARTS_MAX: usize = 4;

/// An account, and what it can be asked.
struct Desk {
    codec: Arc<dyn Codec>,
    traits: VenueTraits,
    shape: Shape,
    calls: Vec<Call>,
}

fn desks() -> &'static [Desk] {
    static DESKS: OnceLock<Vec<Desk>> = OnceLock::new();
    DESKS.get_or_init(|| [Shape::Whole, Shape::SpotOnly].map(desk).into())
}

fn desk(shape: Shape) -> Desk {
    let account = accounts::account(shape);
    let contract = match shape {
        Shape::Whole => "BTC-USDT-PERP",
        Shape::SpotOnly => "BTC-USDT",
    };
    let mut calls = vec![
        Call::Create(accounts::create("BTC-USDT")),
        Call::Create(accounts::create(contract)),
        Call::Cancel(accounts::order("BTC-USDT", 1, None)),
        Call::Cancel(accounts::order(contract, 1, Some("u-1"))),
        Call::CancelBatch(batch()),
        Call::Query(accounts::order("BTC-USDT", 1, None)),
        Call::History(accounts::order(contract, 1, Some("u-1"))),
        Call::ListOpen(None),
        Call::ListFills(NOW, None),
        Call::Balances,
        Call::Positions,
        Call::Instruments,
        Call::Time,
        Call::Access,
        Call::SetSwitch(Some(Duration::from_secs(40))),
        Call::ReadSwitch,
    ];
    calls.extend(account.traits.cancel_all_scopes.iter().cloned().map(Call::CancelAll));
    // Some are answered without a request: an account without contracts has no positions.
    calls.retain(|call| account.codec.request(call, &Part::default(), &accounts::signing()).is_ok());
    Desk { codec: account.codec, traits: account.traits, shape, calls }
}

fn batch() -> Vec<OrderKey> {
    let ids = [None, Some("v2"), Some("u-1")];
    ids.iter().zip(1..).map(|(id, sequence)| accounts::order("BTC-USDT", sequence, *id)).collect()
}

/// An input, taken apart.
struct Given {
    part: Part,
    outcome: HttpOutcome,
}

fn given(input: &[u8]) -> Given {
    let mut rest = input;
    let mut line = || {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (line, after) = end.map_or((rest, &rest[rest.len()..]), |end| (&rest[..end], &rest[end + 1..]));
        rest = after;
        (String::from_utf8_lossy(line).into_owned(), end.is_some())
    };
    let (place, _) = line();
    let (number, cursor) = place.split_once('|').unwrap_or(("0", &place));
    let number = u32::try_from(number_or(number, 0)).unwrap_or(u32::MAX);
    let part = Part { number, cursor: cursor.to_owned(), gathered: Vec::new() };
    let (status, _) = line();
    let mut headers = Vec::new();
    loop {
        let (text, more) = line();
        if text.is_empty() || !more {
            break;
        }
        let (name, value) = text.split_once(':').unwrap_or((&text, ""));
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let outcome = match status.as_str() {
        "lost" => HttpOutcome::Lost("cut".into()),
        "unsent" => HttpOutcome::NotSent("shut".into()),
        status => {
            let status = u16::try_from(number_or(status, 200) % 1_000).unwrap_or(200);
            HttpOutcome::Got(HttpResponse { status, headers, body: rest.to_vec() })
        }
    };
    Given { part, outcome }
}

/// Runs one input.
pub fn check(input: &[u8]) {
    let Given { part, outcome } = given(input);
    let said = Said::of(&outcome);
    let token = Page(part.cursor.clone());
    for desk in desks() {
        for call in &desk.calls {
            converse(desk, call, &Part::default(), &outcome, &said);
            converse(desk, call, &part, &outcome, &said);
        }
        for call in [Call::ListOpen(Some(token.clone())), Call::ListFills(NOW, Some(token.clone()))] {
            converse(desk, &call, &Part::default(), &outcome, &said);
        }
    }
}

/// The same answer again and again, as long as the codec wants to go on.
fn converse(desk: &Desk, call: &Call, part: &Part, outcome: &HttpOutcome, said: &Said) {
    let mut part = part.clone();
    for turn in 0..PARTS_MAX {
        match desk.codec.request(call, &part, &accounts::signing()) {
            Ok(request) => assert_path(&request.path_and_query),
            Err(answered) => {
                assert_eq!(turn, 0, "{}: cannot go on: {answered:?}", call.word());
                // Nothing is sent for it, so nothing can be an answer to it; it must only be read without harm.
                let _ = desk.codec.read(call, &part, outcome);
                return;
            }
        }
        let read = desk.codec.read(call, &part, outcome);
        judge(desk, (call, &part), &read, said);
        let Reading::More(next) = read.reading else { return };
        assert_eq!(Some(next.number), part.number.checked_add(1), "parts are counted");
        part = next;
    }
}

fn assert_path(path: &str) {
    assert!(path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{path}");
    assert!(path.matches('?').count() <= 1, "{path}");
}

/// What the venue said, read by other eyes.
pub struct Said {
    status: u16,
    text: String,
    value: Value,
    code: Option<i64>,
    is_answer: bool,
}

impl Said {
    /// Takes an outcome apart.
    pub fn of(outcome: &HttpOutcome) -> Said {
        let HttpOutcome::Got(response) = outcome else {
            return Said { status: 0, text: String::new(), value: Value::Null, code: None, is_answer: false };
        };
        let value: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let code = value.get("retCode").and_then(integer);
        let head = &response.body[..response.body.len().min(4_000)];
        Said { status: response.status, text: String::from_utf8_lossy(head).into_owned(), code, is_answer: true, value }
    }

    /// What status and code prove together, by the tables.
    fn proved(&self, about: About) -> Verdict {
        let by_code = self.code.map_or(Verdict::Unknown, |code| verdict(about, code).0);
        if self.status == 200 {
            return by_code;
        }
        let by_status = of_status(self.status, &self.text).0;
        let is_finer = matches!(by_code, Verdict::Refused(_) | Verdict::Later(_) | Verdict::ClockWrong);
        match by_status {
            // Of a shut door a code may say more; of 403, which has its own words, only that it is a ban or a limit.
            Verdict::Refused(_) if self.status != 403 && is_finer => by_code,
            Verdict::Refused(_) if matches!(by_code, Verdict::Later(_)) => by_code,
            by_status => by_status,
        }
    }

    fn result(&self, name: &str) -> &Value {
        self.value.get("result").and_then(|result| result.get(name)).unwrap_or(&Value::Null)
    }

    fn list(&self, of: &str) -> &[Value] {
        let list = self.value.get(of).and_then(|value| value.get("list")).and_then(Value::as_array);
        list.map_or(&[], Vec::as_slice)
    }

    fn is_not_in_use(&self, shape: Shape) -> bool {
        shape == Shape::SpotOnly && self.code == Some(10_005)
    }
}

fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

/// A text, where nothing, `null` and the empty text are none.
fn named<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn judge(desk: &Desk, (call, part): (&Call, &Part), read: &Read, said: &Said) {
    let n_buckets = desk.traits.billing.buckets.len();
    assert!(read.limits.len() <= 1 && read.limits.iter().all(|news| news.limit > 0 && news.bucket < n_buckets));
    assert!(read.server_time.is_none_or(|time| time.millis() > 0));
    let answered = match &read.reading {
        Reading::Answered(answered) => answered,
        Reading::More(next) => {
            assert!(said.is_answer && !is_single(call), "{} goes on", call.word());
            return next.gathered.iter().for_each(|facts| judge_rights(part, facts, said));
        }
        Reading::ClockWrong { server } => {
            assert!(server.millis() > 0, "a clock that shows nothing");
            let proved = [About::Create, About::Cancel, About::Ask].map(|about| said.proved(about));
            assert!(proved.contains(&Verdict::ClockWrong), "nobody spoke of clocks: {proved:?}");
            return;
        }
    };
    assert_texts(answered);
    if let Answered::Done(facts) = answered {
        judge_rights(part, facts, said);
    }
    if !said.is_answer {
        assert!(matches!(answered, Answered::NotSent(_) | Answered::Unknown(_)), "{answered:?} of no answer");
        return;
    }
    assert!(!matches!(answered, Answered::NotSent(_)), "an answer to what never left");
    match call {
        Call::Create(create) => judge_create(answered, &create.key, said),
        Call::Cancel(key) => judge_cancel(answered, key, said),
        Call::CancelBatch(keys) => judge_batch(answered, keys, said),
        Call::CancelAll(_) => judge_cancel_all(answered, said),
        Call::Query(key) | Call::History(key) => judge_query(answered, key, said),
        Call::ListOpen(_) | Call::ListFills(..) => judge_list(desk, call, answered, said),
        Call::Balances | Call::Time | Call::SetSwitch(_) | Call::ReadSwitch | Call::Positions => {
            judge_by_table(answered, About::Ask, said);
        }
        // A refusal of one part of these is news about that part and not the end.
        Call::Instruments | Call::Access => {}
    }
}

/// What the first answer about a key tells of its rights.
fn judge_rights(part: &Part, facts: &Facts, said: &Said) {
    if let Facts::Access(access) = facts
        && *part == Part::default()
    {
        let rights = said.result("permissions")["Wallet"].as_array().into_iter().flatten();
        let mut words = rights.filter_map(Value::as_str);
        let may = words.any(|word| word.eq_ignore_ascii_case("Withdraw"));
        assert_eq!(access.may_withdraw, Some(may), "money may leave, or may not");
    }
}

/// Calls that take one request.
fn is_single(call: &Call) -> bool {
    !matches!(call, Call::ListFills(..) | Call::Positions | Call::Instruments | Call::Access | Call::SetSwitch(_))
}

fn assert_texts(answered: &Answered) {
    let text = match answered {
        Answered::Refused(Refusal { text, .. }) => text,
        Answered::Later { why, wait } => {
            assert!(!wait.is_zero() && *wait <= WAIT_MAX, "again after {wait:?}");
            why
        }
        Answered::NotSent(text) | Answered::Unknown(text) => text,
        Answered::Done(Facts::Batch(items)) => return items.values().for_each(assert_texts),
        Answered::Done(_) => return,
    };
    assert!(!text.is_empty() && text.len() < TEXT_BYTES_MAX, "{} bytes", text.len());
    assert!(!text.contains(SECRET) && !text.contains(KEY), "a text shows the key: {text}");
}

/// `Done`, `Refused` and `Later` are what the tables say, and nothing else.
fn judge_by_table(answered: &Answered, about: About, said: &Said) {
    let proved = said.proved(about);
    match answered {
        Answered::Done(facts) => {
            assert_eq!((said.status, proved), (200, Verdict::Done), "done without proof: {facts:?}");
        }
        Answered::Refused(refusal) => assert_eq!(Verdict::Refused(refusal.kind), proved, "{refusal:?}"),
        Answered::Later { why, .. } => {
            assert!(matches!(proved, Verdict::Later(_) | Verdict::ClockWrong), "later by {proved:?}: {why}");
        }
        Answered::Unknown(_) | Answered::NotSent(_) => {}
    }
}

/// Judges what is said of a create.
pub fn judge_create(answered: &Answered, key: &OrderKey, said: &Said) {
    judge_by_table(answered, About::Create, said);
    match answered {
        Answered::Done(Facts::Created(id)) => {
            assert_eq!(said.result("orderId").as_str(), Some(id.as_str()));
            assert!(!id.as_str().is_empty(), "an order without an id");
            let link = named(&said.value["result"], "orderLinkId");
            assert!(link.is_none_or(|link| link == key.client_id.as_str()), "another order was taken");
        }
        Answered::Done(facts) => panic!("no answer to a create: {facts:?}"),
        Answered::Refused(refusal) => assert_ne!(refusal.kind, RefusalKind::NotFound),
        _ => {}
    }
}

/// Judges what is said of a cancel.
pub fn judge_cancel(answered: &Answered, key: &OrderKey, said: &Said) {
    judge_by_table(answered, About::Cancel, said);
    match answered {
        Answered::Done(Facts::CancelTaken { filled: None }) => {
            let (id, link) = (named(&said.value["result"], "orderId"), named(&said.value["result"], "orderLinkId"));
            match (id, key.venue_order_id.as_ref()) {
                (Some(id), Some(known)) => assert_eq!(id, known.as_str(), "another order's cancel was taken"),
                (_, _) if link.is_some() => assert_eq!(link, Some(key.client_id.as_str()), "another order's cancel"),
                (id, _) => assert_eq!(id, None, "somebody's cancel was taken"),
            }
        }
        Answered::Done(facts) => panic!("no answer to a cancel: {facts:?}"),
        _ => {}
    }
}

/// Judges what is said of a batch of cancels.
pub fn judge_batch(answered: &Answered, keys: &[OrderKey], said: &Said) {
    judge_by_table(answered, About::Cancel, said);
    let items = match answered {
        Answered::Done(Facts::Batch(items)) => items,
        Answered::Done(facts) => panic!("no answer to a batch: {facts:?}"),
        _ => return,
    };
    let (names, verdicts) = (said.list("result"), said.list("retExtInfo"));
    assert_eq!(names.len(), verdicts.len(), "as many verdicts as names");
    let asked: BTreeSet<&str> = keys.iter().map(|key| key.client_id.as_str()).collect();
    assert!(items.keys().all(|id| asked.contains(id.as_str())), "orders nobody asked about");
    let known = |line: &Value| {
        let (link, id) = (named(line, "orderLinkId"), named(line, "orderId"));
        let by_link = keys.iter().find(|key| link == Some(key.client_id.as_str()));
        by_link
            .or_else(|| keys.iter().find(|key| id.is_some() && id == key.venue_order_id.as_ref().map(|id| id.as_str())))
    };
    for key in keys {
        let Some(answered) = items.get(&key.client_id) else { continue };
        // Lines that name this order, or nobody we know.
        let lines = names.iter().zip(verdicts).filter(|(line, _)| known(line).is_none_or(|known| known == key));
        let codes: Vec<Verdict> = lines
            .filter_map(|(_, line)| line.get("code").and_then(integer))
            .map(|code| verdict(About::Cancel, code).0)
            .collect();
        match answered {
            Answered::Done(facts) => {
                assert_eq!(*facts, Facts::CancelTaken { filled: None });
                assert!(codes.contains(&Verdict::Done), "{}: done by {codes:?}", key.client_id);
            }
            Answered::Refused(refusal) => {
                assert!(codes.contains(&Verdict::Refused(refusal.kind)), "{}: {refusal:?}", key.client_id);
            }
            Answered::Later { .. } | Answered::Unknown(_) => {}
            Answered::NotSent(why) => panic!("an item that was never sent: {why}"),
        }
    }
    let n_done = items.values().filter(|answered| matches!(answered, Answered::Done(_))).count();
    let n_good = verdicts.iter().filter(|line| line.get("code").and_then(integer) == Some(0)).count();
    assert!(n_done <= n_good, "{n_done} done by {n_good} good lines");
}

fn judge_cancel_all(answered: &Answered, said: &Said) {
    let success = named(&said.value["result"], "success");
    if let Answered::Refused(Refusal { kind: RefusalKind::NotNow, .. }) = answered
        && said.proved(About::Cancel) == Verdict::Done
    {
        return assert!(success.is_some_and(|word| word != "1"));
    }
    judge_by_table(answered, About::Cancel, said);
    if let Answered::Done(facts) = answered {
        assert_eq!(*facts, Facts::CancelTaken { filled: None });
        assert!(success.is_none_or(|word| word == "1"), "a cancel-all that failed");
    }
}

fn judge_query(answered: &Answered, key: &OrderKey, said: &Said) {
    judge_by_table(answered, About::Ask, said);
    match answered {
        Answered::Done(Facts::Order(None)) => {
            assert_eq!(said.result("list").as_array().map(Vec::len), Some(0), "absent without an empty list");
        }
        Answered::Done(Facts::Order(Some(row))) => {
            assert_eq!(row.client_id.as_deref(), Some(key.client_id.as_str()));
            assert!(!row.qty.is_negative() && !row.filled.is_negative() && !row.price.is_negative());
        }
        Answered::Done(facts) => panic!("no answer to a question about an order: {facts:?}"),
        _ => {}
    }
}

fn judge_list(desk: &Desk, call: &Call, answered: &Answered, said: &Said) {
    let is_allowed_to_miss = said.is_not_in_use(desk.shape);
    if !is_allowed_to_miss {
        judge_by_table(answered, About::Ask, said);
    }
    let next = match answered {
        Answered::Done(Facts::OpenOrders { rows, next }) => {
            let n_listed = if said.proved(About::Ask) == Verdict::Done { said.list("result").len() } else { 0 };
            assert_eq!(rows.len(), n_listed, "a listing that is not what was listed");
            assert!(rows.iter().all(|row| !row.qty.is_negative() && !row.filled.is_negative()));
            next.clone().map(|next| Call::ListOpen(Some(next)))
        }
        Answered::Done(Facts::Fills { rows, next, complete_to }) => {
            assert!(rows.iter().all(|row| !row.fill.qty.is_negative() && !row.fill.trade_id.as_str().is_empty()));
            assert!(rows.is_sorted_by_key(|row| row.fill.at), "oldest first");
            assert!(next.is_none() || *complete_to == NOW, "complete before the end");
            next.clone().map(|next| Call::ListFills(NOW, Some(next)))
        }
        Answered::Done(facts) => panic!("no answer to {}: {facts:?}", call.word()),
        _ => None,
    };
    // Spot is only the beginning.
    let is_first = matches!(call, Call::ListOpen(None) | Call::ListFills(_, None));
    assert!(next.is_some() || !is_first || !matches!(answered, Answered::Done(_)), "contracts are left out");
    if let Some(next) = next {
        let request = desk.codec.request(&next, &Part::default(), &accounts::signing());
        let request = request.unwrap_or_else(|answered| panic!("{next:?} cannot be asked: {answered:?}"));
        assert_path(&request.path_and_query);
    }
}
