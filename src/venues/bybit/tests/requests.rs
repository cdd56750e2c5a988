//! The bytes of each call.

use super::{KEY, NOW, SECRET, account, account_of, create_of, header, order, request, settings, signing};
use crate::domain::order::{Side, TimeInForce};
use crate::domain::request::{Answered, Call, Facts, Page, Scope};
use crate::domain::time::Wall;
use crate::venues::bybit::sign::signature;
use crate::venues::wire::{Lane, Method};
use crate::venues::{Part, Signing};
use std::time::Duration;

#[test]
fn every_call_says_exactly_what_it_must() {
    let spot = || order("BTC-USDT", 1, None);
    let named = || order("BTC-USDT-PERP", 2, Some("u-7"));
    let id = "lo7k2p000a1a000001";
    let cases = [
        (
            create_of("BTC-USDT", Side::Buy, TimeInForce::PostOnly),
            "/v5/order/create",
            format!(
                r#"{{"category":"spot","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.01","price":"64000.5","timeInForce":"PostOnly","orderLinkId":"{id}"}}"#
            ),
        ),
        (
            create_of("BTC-USDC-PERP", Side::Sell, TimeInForce::Gtc),
            "/v5/order/create",
            format!(
                r#"{{"category":"linear","symbol":"BTCPERP","side":"Sell","orderType":"Limit","qty":"0.01","price":"64000.5","timeInForce":"GTC","orderLinkId":"{id}","positionIdx":0}}"#
            ),
        ),
        (
            Call::Cancel(spot()),
            "/v5/order/cancel",
            format!(r#"{{"category":"spot","symbol":"BTCUSDT","orderLinkId":"{id}"}}"#),
        ),
        (
            Call::Cancel(named()),
            "/v5/order/cancel",
            r#"{"category":"linear","symbol":"BTCUSDT","orderId":"u-7"}"#.into(),
        ),
        (
            Call::CancelBatch(vec![named(), order("ETH-USDT-PERP", 3, None)]),
            "/v5/order/cancel-batch",
            r#"{"category":"linear","request":[{"symbol":"BTCUSDT","orderId":"u-7"},{"symbol":"ETHUSDT","orderLinkId":"lo7k2p000a1a000003"}]}"#.into(),
        ),
        (
            Call::CancelAll(Scope("spot".into())),
            "/v5/order/cancel-all",
            r#"{"category":"spot","orderFilter":"Order"}"#.into(),
        ),
        (
            Call::CancelAll(Scope("linear:USDC".into())),
            "/v5/order/cancel-all",
            r#"{"category":"linear","settleCoin":"USDC"}"#.into(),
        ),
        (
            Call::SetSwitch(Some(Duration::from_millis(9_500))),
            "/v5/order/disconnected-cancel-all",
            r#"{"product":"SPOT","timeWindow":10}"#.into(),
        ),
        (Call::Query(spot()), "/v5/order/realtime?category=spot&symbol=BTCUSDT&orderLinkId=lo7k2p000a1a000001", String::new()),
        (Call::History(named()), "/v5/order/history?category=linear&symbol=BTCUSDT&orderLinkId=lo7k2p000a1a000002", String::new()),
        (Call::ListOpen(None), "/v5/order/realtime?category=spot&limit=50", String::new()),
        (
            Call::ListOpen(Some(Page("1|2|page_args%3Dfd4%26symbol%3D6%26".into()))),
            "/v5/order/realtime?category=linear&settleCoin=USDT&limit=50&cursor=page_args%3Dfd4%26symbol%3D6%26",
            String::new(),
        ),
        (
            Call::ListFills(Wall::from_millis(1_699_999_000_000), None),
            "/v5/execution/list?category=spot&startTime=1699999000000&limit=100",
            String::new(),
        ),
        (Call::Balances, "/v5/account/wallet-balance?accountType=UNIFIED", String::new()),
        (Call::Positions, "/v5/position/list?category=linear&settleCoin=USDT&limit=200", String::new()),
        (Call::Instruments, "/v5/market/instruments-info?category=spot&symbol=BTCUSDT", String::new()),
        (Call::Time, "/v5/market/time", String::new()),
        (Call::Access, "/v5/user/query-api", String::new()),
        (Call::ReadSwitch, "/v5/account/query-dcp-info", String::new()),
    ];
    let account = account();
    for (call, path, body) in cases {
        let request = request(&account, &call);
        assert_eq!(request.path_and_query, path);
        assert_eq!(request.body.as_deref().unwrap_or(""), body, "{call:?}");
        assert_eq!(request.method, if body.is_empty() { Method::Get } else { Method::Post }, "{call:?}");
        let payload = match path.split_once('?') {
            Some((_, query)) => query,
            None => &body,
        };
        let Some(window) = header(&request, "X-BAPI-RECV-WINDOW") else {
            assert!(matches!(call, Call::Instruments | Call::Time), "{call:?} must be signed");
            continue;
        };
        let signed = format!("{}{KEY}{window}{payload}", NOW.millis());
        assert_eq!(header(&request, "X-BAPI-SIGN"), Some(&*signature(&super::api_key().secret, &signed)), "{call:?}");
        assert_eq!(header(&request, "X-BAPI-API-KEY"), Some(KEY));
        assert_eq!(header(&request, "X-BAPI-TIMESTAMP"), Some("1700000000000"));
        assert_eq!(header(&request, "Content-Type").is_some(), request.body.is_some(), "{call:?}");
        assert!(!format!("{request:?}").contains("canary"));
    }
}

#[test]
fn a_create_counts_for_three_seconds_at_most_and_never_longer_than_allowed() {
    let (account, create) = (account(), create_of("BTC-USDT", Side::Buy, TimeInForce::Ioc));
    for (allowed_ms, window) in [(2_500, "2500"), (3_000, "3000"), (60_000, "3000"), (1, "1")] {
        let signing = Signing { valid_for: Duration::from_millis(allowed_ms), ..signing() };
        let request = account.codec.request(&create, &Part::default(), &signing).unwrap();
        assert_eq!(header(&request, "X-BAPI-RECV-WINDOW"), Some(window));
        assert_eq!(request.lane, Lane::Create);
        let cancel = Call::Cancel(order("BTC-USDT", 1, None));
        let request = account.codec.request(&cancel, &Part::default(), &signing).unwrap();
        assert_eq!((header(&request, "X-BAPI-RECV-WINDOW"), request.lane), (Some("5000"), Lane::Cancel));
    }
    let over = Signing { valid_for: Duration::from_micros(900), ..signing() };
    let unsent = account.codec.request(&create, &Part::default(), &over).unwrap_err();
    assert!(matches!(*unsent, Answered::NotSent(_)), "{unsent:?}");
}

#[test]
fn what_cannot_be_asked_is_refused_and_nothing_leaves() {
    let account = account();
    let eleven: Vec<_> = (0..11).map(|n| order("BTC-USDT", n, None)).collect();
    let mixed = vec![order("BTC-USDT", 1, None), order("BTC-USDT-PERP", 2, None)];
    let impossible = [
        Call::CancelBatch(eleven),
        Call::CancelBatch(mixed),
        Call::CancelAll(Scope("inverse".into())),
        Call::CancelAll(Scope("linear:EUR".into())),
        Call::SetSwitch(None),
        Call::ListOpen(Some(Page("7|0|".into()))),
        Call::ListOpen(Some(Page("what".into()))),
        Call::ListFills(NOW, Some(Page("0|5|1|9|".into()))),
        Call::ListFills(NOW, Some(Page("0|0|999999999999|9|".into()))),
    ];
    for call in impossible {
        let refused = account.codec.request(&call, &Part::default(), &signing()).unwrap_err();
        assert!(matches!(*refused, Answered::Refused(_)), "{call:?}: {refused:?}");
    }
    let nothing = account.codec.request(&Call::CancelBatch(vec![]), &Part::default(), &signing()).unwrap_err();
    assert!(matches!(*nothing, Answered::Done(Facts::Batch(items)) if items.is_empty()));
}

#[test]
fn without_a_key_only_public_data_is_asked_for() {
    let account = account_of(&settings(&["BTC-USDT"], false), None);
    for call in [Call::Time, Call::Instruments] {
        assert!(account.codec.request(&call, &Part::default(), &signing()).unwrap().headers.is_empty());
    }
    for call in [create_of("BTC-USDT", Side::Buy, TimeInForce::Gtc), Call::Balances, Call::ListOpen(None), Call::Access]
    {
        let refused = account.codec.request(&call, &Part::default(), &signing()).unwrap_err();
        assert!(matches!(*refused, Answered::Refused(_)), "{call:?}");
    }
    assert!(!format!("{:?}", super::api_key()).contains(SECRET));
}
