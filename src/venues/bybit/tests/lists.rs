//! Listings that come in pages, against a venue of a few lines.

use super::{NOW, account, account_of, answered, api_key, converse, facts, refusal, result, result_at, settings};
use crate::domain::order::FillRow;
use crate::domain::request::{Answered, Call, Facts, Page};
use crate::domain::time::Wall;
use crate::venues::Account;
use crate::venues::wire::{HttpOutcome, HttpRequest};

fn field<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    let (_, query) = request.path_and_query.split_once('?')?;
    query.split('&').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
}

fn number(request: &HttpRequest, name: &str) -> Option<i64> {
    field(request, name).map(|text| text.parse().unwrap())
}

fn order_row(id: usize) -> String {
    format!(
        r#"{{"orderId":"v{id}","orderLinkId":"","symbol":"BTCUSDT","side":"Buy","price":"1","qty":"2","cumExecQty":"0","orderStatus":"New"}}"#
    )
}

/// A venue that keeps so many orders in each scope, and gives a cursor on its last page too.
fn listing_venue(per_scope: [usize; 3]) -> impl FnMut(&HttpRequest) -> HttpOutcome {
    move |request| {
        let scope = match (field(request, "category"), field(request, "settleCoin")) {
            (Some("spot"), None) => 0,
            (Some("linear"), Some("USDT")) => 1,
            (Some("linear"), Some("USDC")) => 2,
            other => panic!("a scope the venue does not have: {other:?}"),
        };
        let limit = usize::try_from(number(request, "limit").unwrap()).unwrap();
        let from = field(request, "cursor").map_or(0, |cursor| cursor.strip_prefix("at%3A").unwrap().parse().unwrap());
        let until = per_scope[scope].min(from + limit);
        let rows: Vec<String> = (from..until).map(|n| order_row(scope * 1_000 + n)).collect();
        let cursor = if rows.is_empty() { String::new() } else { format!("at%3A{until}") };
        result(&format!(r#"{{"list":[{}],"nextPageCursor":"{cursor}"}}"#, rows.join(",")))
    }
}

/// Follows a listing to its end: how many orders, in how many requests.
fn list_all(
    account: &Account,
    mut venue: impl FnMut(&HttpRequest) -> HttpOutcome,
) -> Result<(usize, usize), Box<Answered>> {
    let (mut ids, mut n_requests, mut page) = (std::collections::BTreeSet::new(), 0, None);
    loop {
        n_requests += 1;
        match converse(account, &Call::ListOpen(page), &mut venue) {
            Answered::Done(Facts::OpenOrders { rows, next }) => {
                ids.extend(rows.into_iter().map(|row| row.venue_order_id));
                match next {
                    Some(next) => page = Some(next),
                    None => return Ok((ids.len(), n_requests)),
                }
            }
            other => return Err(Box::new(other)),
        }
    }
}

#[test]
fn a_listing_covers_every_scope_and_every_page_and_ends() {
    let account = account();
    assert_eq!(list_all(&account, listing_venue([0, 0, 0])).unwrap(), (0, 3));
    assert_eq!(list_all(&account, listing_venue([3, 1, 1])).unwrap(), (5, 3), "a cursor on a short page leads nowhere");
    assert_eq!(list_all(&account, listing_venue([50, 120, 7])).unwrap(), (177, 2 + 3 + 1));
    assert_eq!(list_all(&account, listing_venue([500, 500, 0])).unwrap(), (1_000, 11 + 11 + 1));
    // Whatever is configured: an earlier configuration may have left orders in the other categories.
    let spot_only = account_of(&settings(&["BTC-USDT"], false), Some(api_key()));
    assert_eq!(list_all(&spot_only, listing_venue([1, 2, 3])).unwrap(), (6, 3));
}

#[test]
fn a_page_that_fails_is_not_an_empty_page() {
    let account = account();
    let mut n = 0;
    let mut venue = listing_venue([60, 0, 0]);
    let broken = list_all(&account, |request| {
        n += 1;
        if n == 2 { refusal(10_016, "server error") } else { venue(request) }
    });
    assert!(matches!(broken.as_ref().map_err(|why| &**why), Err(Answered::Unknown(_))), "{broken:?}");
    for odd in [r#"{"nextPageCursor":""}"#, r#"{"list":null}"#, r#"{"list":{}}"#, r#"{"list":[1]}"#, r#"{"list":[{}]}"#]
    {
        assert!(matches!(answered(&account, &Call::ListOpen(None), &result(odd)), Answered::Unknown(_)), "{odd}");
    }
}

#[test]
fn a_listing_that_goes_in_circles_ends() {
    let account = account();
    let rows: Vec<String> = (0..50).map(order_row).collect();
    let same = format!(r#"{{"list":[{}],"nextPageCursor":"here"}}"#, rows.join(","));
    assert_eq!(list_all(&account, |_| result(&same)).unwrap(), (50, 6), "a cursor that repeats is an end");
    let mut n = 0;
    let round = list_all(&account, |_| {
        n += 1;
        result(&same.replace("here", if n % 2 == 0 { "a" } else { "b" }))
    });
    assert!(matches!(round.as_ref().map_err(|why| &**why), Err(Answered::Unknown(_))), "{round:?}");
    assert!(n < 150);
}

#[test]
fn a_narrow_key_sees_the_account_it_has() {
    let denied = |request: &HttpRequest| match field(request, "category") {
        Some("linear") => refusal(10_005, "Permission denied"),
        _ => result(&format!(r#"{{"list":[{}],"nextPageCursor":"x"}}"#, order_row(1))),
    };
    let spot_only = account_of(&settings(&["BTC-USDT"], false), Some(api_key()));
    assert_eq!(list_all(&spot_only, denied).unwrap(), (1, 3));
    assert!(
        matches!(list_all(&account(), denied), Err(why) if matches!(*why, Answered::Refused(_))),
        "contracts are configured here"
    );
}

const DAY: i64 = 86_400_000;

/// A venue with one fill a spot order and one a contract at these moments; newest first, seven days at most.
fn fill_venue(mut moments: Vec<i64>, requests: &mut Vec<String>) -> impl FnMut(&HttpRequest) -> HttpOutcome {
    moments.sort_unstable();
    move |request| {
        requests.push(request.path_and_query.clone());
        let category = field(request, "category").unwrap();
        let start = number(request, "startTime").unwrap();
        let end = number(request, "endTime").unwrap_or(start + 7 * DAY);
        assert!((0..=7 * DAY).contains(&(end - start)), "{}", request.path_and_query);
        let limit = usize::try_from(number(request, "limit").unwrap()).unwrap();
        let skip = field(request, "cursor").map_or(0, |cursor| cursor.parse().unwrap());
        let shown: Vec<(usize, &i64)> = moments
            .iter()
            .enumerate()
            .filter(|(_, at)| (start..=end).contains(*at))
            .rev()
            .skip(skip)
            .take(limit)
            .collect();
        let rows: Vec<String> = shown
            .iter()
            .map(|(n, at)| {
                format!(
                    r#"{{"symbol":"BTCUSDT","execId":"{category}-{n}","orderId":"o","orderLinkId":"","side":"Buy","execType":"Trade","execPrice":"1","execQty":"1","execFee":"0","feeCurrency":"","isMaker":false,"execTime":"{at}"}}"#
                )
            })
            .collect();
        result(&format!(r#"{{"list":[{}],"nextPageCursor":"{}"}}"#, rows.join(","), skip + rows.len()))
    }
}

/// All fills since a moment, as the desk would fetch them, and up to when they are complete.
fn fetch(account: &Account, since: i64, mut venue: impl FnMut(&HttpRequest) -> HttpOutcome) -> (Vec<FillRow>, Wall) {
    let (mut fills, mut page) = (Vec::new(), None);
    for _ in 0..200 {
        let call = Call::ListFills(Wall::from_millis(since), page);
        match facts(converse(account, &call, &mut venue)) {
            Facts::Fills { rows, next, complete_to } => {
                fills.extend(rows);
                match next {
                    Some(next) => {
                        assert!(complete_to <= Wall::from_millis(since), "nothing is proved before the last page");
                        page = Some(next);
                    }
                    None => return (fills, complete_to),
                }
            }
            other => panic!("not fills: {other:?}"),
        }
    }
    panic!("a list without end");
}

fn check_fills(moments: Vec<i64>, since: i64) -> Vec<String> {
    let mut requests = Vec::new();
    let wanted = moments.iter().filter(|at| **at >= since).count();
    let (fills, complete_to) = fetch(&account(), since, fill_venue(moments, &mut requests));
    for category in ["spot", "linear"] {
        let ids: Vec<_> = fills.iter().filter(|row| row.fill.trade_id.as_str().starts_with(category)).collect();
        let mut unique: Vec<_> = ids.iter().map(|row| row.fill.trade_id.clone()).collect();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), wanted, "{category}: each fill is there");
        assert!(ids.is_sorted_by_key(|row| row.fill.at), "{category}: oldest first");
    }
    assert_eq!(complete_to, NOW.plus_millis(-5_000), "the venue's lists may be behind by its lag");
    requests
}

#[test]
fn fills_come_oldest_first_through_pages_windows_and_categories() {
    let now = NOW.millis();
    assert_eq!(check_fills(vec![], now - DAY).len(), 2, "one question a category");
    assert_eq!(check_fills(vec![now - 5, now - 5, now - 5, now - 1], now - DAY).len(), 2);
    check_fills((0..250).map(|n| now - n * 1_000).collect(), now - DAY);
    check_fills((0..250).map(|n| now - n * DAY / 5).collect(), now - 40 * DAY);
    // Exactly on a window's edge, and exactly a full page.
    check_fills(vec![now - 13 * DAY, now - 6 * DAY, now - 6 * DAY + 1], now - 13 * DAY);
    check_fills((0..100).map(|n| now - n).collect(), now - DAY);
}

#[test]
fn a_window_with_too_many_fills_is_made_smaller() {
    let now = NOW.millis();
    // 30,000 fills in 25 minutes, more than the pages of one window hold.
    let requests = check_fills((0..30_000).map(|n| now - n * 50).collect(), now - DAY);
    assert!(requests.iter().any(|request| request.contains("endTime=")), "no smaller window was asked for");
    assert!(requests.len() < 3_000, "{}", requests.len());
}

#[test]
fn fills_are_complete_only_to_when_they_were_asked_for() {
    let account = account();
    let mut clock = NOW.millis();
    let (_, complete_to) = fetch(&account, NOW.millis() - DAY, |_| {
        clock += 30_000;
        result_at(clock, r#"{"list":[],"nextPageCursor":""}"#)
    });
    assert_eq!(complete_to, NOW.plus_millis(30_000 - 5_000), "by the first question, though the last came later");
    let timeless = super::ok(r#"{"retCode":0,"retMsg":"OK","result":{"list":[]}}"#);
    assert!(matches!(answered(&account, &Call::ListFills(NOW, None), &timeless), Answered::Unknown(_)));
}

#[test]
fn a_list_of_fills_that_fails_or_goes_in_circles_is_no_list() {
    let account = account();
    let call = Call::ListFills(NOW.plus_millis(-DAY), None);
    assert!(matches!(answered(&account, &call, &refusal(10_016, "")), Answered::Unknown(_)));
    // Nothing but rows that are kept out, on full pages that lead to each other.
    let row = r#"{"symbol":"BTCUSDT","execId":"e","execType":"SessionSettlePnL"}"#;
    let mut n = 0;
    let circle = converse(&account, &call, |_| {
        n += 1;
        result(&format!(r#"{{"list":[{}],"nextPageCursor":"c{}"}}"#, vec![row; 100].join(","), n % 2))
    });
    assert!(matches!(circle, Answered::Unknown(_)), "{circle:?}");
}

#[test]
fn a_page_of_fills_stands_for_itself() {
    // What a page token says is all the next request needs: it may be asked from a fresh beginning.
    let account = account();
    let call = Call::ListFills(NOW, Some(Page(format!("1|{}|{}|{}|", NOW.millis() - DAY, NOW.millis(), NOW.millis()))));
    match facts(converse(&account, &call, |request| {
        assert_eq!(field(request, "category"), Some("linear"));
        assert_eq!(number(request, "endTime"), Some(NOW.millis()));
        result(r#"{"list":[],"nextPageCursor":""}"#)
    })) {
        Facts::Fills { next: None, .. } => {}
        other => panic!("{other:?}"),
    }
}
