//! The faults that a stop may meet, as what the exchange is told.

/// How a fault ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// By itself, or it can be lived with: the stop must be clean.
    ByItself,
    /// The exchange is healed a while after the signal: the stop must be clean.
    Healed,
    /// It does not: orders may be left, and must be named.
    Never,
}

/// A fault, and when it is told.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    /// Commands right before the signal.
    pub(super) early: &'static [&'static str],
    /// Commands right after it.
    pub(super) late: &'static [&'static str],
    /// What the ledger calls it.
    pub(super) word: &'static str,
    pub(super) ends: Ends,
    /// The signal waits until it has struck.
    pub(super) is_awaited: bool,
    /// It must strike after the signal, or it was not tried.
    pub(super) is_seen_after: bool,
    /// What was sent may be carried out after the stop has ended.
    pub(super) is_late: bool,
}

/// Told before the signal, strikes after it.
const fn early(name: &'static str, word: &'static str, ends: Ends, early: &'static [&'static str]) -> Fault {
    Fault { name, early, late: &[], word, ends, is_awaited: false, is_seen_after: true, is_late: false }
}

/// Told after the signal.
const fn late(name: &'static str, word: &'static str, ends: Ends, late: &'static [&'static str]) -> Fault {
    Fault { name, early: &[], late, word, ends, is_awaited: false, is_seen_after: true, is_late: false }
}

/// Told before the signal and again after it, because the ledger notes it when it is told.
const fn both(name: &'static str, word: &'static str, ends: Ends, commands: &'static [&'static str]) -> Fault {
    Fault { late: commands, ..early(name, word, ends, commands) }
}

/// Strikes cancels from before the signal on, so that it finds orders whose cancel is under way. The moved price makes the
/// market maker quote anew.
const fn cancels(name: &'static str, word: &'static str, commands: &'static [&'static str]) -> Fault {
    Fault { is_awaited: true, ..early(name, word, Ends::ByItself, commands) }
}

/// Strikes creates before the signal, so that it finds orders nobody knows of.
const fn creates(name: &'static str, word: &'static str, commands: &'static [&'static str]) -> Fault {
    Fault { is_awaited: true, is_seen_after: false, is_late: true, ..early(name, word, Ends::ByItself, commands) }
}

pub(super) const FAULTS: &[Fault] = &[
    early(
        "cancels answered 503 for a while",
        "http_status",
        Ends::Healed,
        &[r#"{"command":"http","http":{"path":"/order/cancel","fault":{"status":{"status":503}},"times":0}}"#],
    ),
    early(
        "cancels answered 503 for ever",
        "http_status",
        Ends::Never,
        &[r#"{"command":"http","http":{"path":"/order/cancel","fault":{"status":{"status":503}},"times":0}}"#],
    ),
    early(
        "everything answered 502 for a while",
        "http_status",
        Ends::Healed,
        &[r#"{"command":"http","http":{"fault":{"status":{"status":502,"body":"empty"}},"times":0}}"#],
    ),
    early(
        "everything answered 503 for ever",
        "http_status",
        Ends::Never,
        &[r#"{"command":"http","http":{"fault":{"status":{"status":503}},"times":0}}"#],
    ),
    early(
        "cancels carried out and answered 503",
        "http_status",
        Ends::ByItself,
        &[
            r#"{"command":"http","http":{"path":"/order/cancel","when":"after","fault":{"status":{"status":503}},"times":6}}"#,
        ],
    ),
    early(
        "429 with Retry-After",
        "http_status",
        Ends::ByItself,
        &[
            r#"{"command":"http","http":{"path":"/order/cancel","fault":{"status":{"status":429,"retry_after_s":1}},"times":8}}"#,
        ],
    ),
    early(
        "rate limited for a while",
        "rate_limited",
        Ends::Healed,
        &[r#"{"command":"plan","on":"any_cancel","fault":{"rate_limited":{"retry_after_ms":300}},"times":0}"#],
    ),
    early(
        "lost answers of cancels",
        "answer_lost",
        Ends::ByItself,
        &[r#"{"command":"plan","on":"any_cancel","fault":"answer_lost","times":4}"#],
    ),
    early(
        "cancels carried out, the venue says it failed",
        "server_error_executed",
        Ends::ByItself,
        &[r#"{"command":"plan","on":"any_cancel","fault":"server_error_executed","times":6}"#],
    ),
    cancels(
        "cancels fail inside the venue",
        "server_error",
        &[
            r#"{"command":"plan","on":"any_cancel","fault":"server_error","times":12}"#,
            r#"{"command":"move_price","symbol":"BTC-USDT","price":"64160"}"#,
        ],
    ),
    cancels(
        "cancels carried out late",
        "late_execution",
        &[
            r#"{"command":"plan","on":"any_cancel","fault":{"late_execution":{"after_ms":4000}},"times":12}"#,
            r#"{"command":"move_price","symbol":"BTC-USDT","price":"64160"}"#,
        ],
    ),
    cancels(
        "cancels done later than told",
        "slow_cancel",
        &[
            r#"{"command":"plan","on":"any_cancel","fault":{"slow_cancel":{"by_ms":1500}},"times":0}"#,
            r#"{"command":"move_price","symbol":"BTC-USDT","price":"64160"}"#,
        ],
    ),
    early(
        "partial batches",
        "partial_batch",
        Ends::ByItself,
        &[r#"{"command":"plan","on":"cancel_batch","fault":{"partial_batch":{"failing":[0,2,3]}},"times":3}"#],
    ),
    early(
        "shuffled batches",
        "shuffled_batch",
        Ends::ByItself,
        &[r#"{"command":"plan","on":"cancel_batch","fault":"shuffled_batch","times":0}"#],
    ),
    early(
        "stale listings",
        "stale_listing",
        Ends::ByItself,
        &[r#"{"command":"stale_listing","by_ms":1500,"times":6}"#],
    ),
    early(
        "broken listings",
        "broken_listing",
        Ends::ByItself,
        &[r#"{"command":"plan","on":"list_open","fault":"broken_listing","times":3}"#],
    ),
    early(
        "live orders not found",
        "not_found",
        Ends::ByItself,
        &[r#"{"command":"plan","on":"cancel","fault":"not_found","times":5}"#],
    ),
    early(
        "cancels hang",
        "http_hang",
        Ends::ByItself,
        &[r#"{"command":"http","http":{"path":"/order/cancel","fault":"hang","times":4}}"#],
    ),
    early(
        "cancels reset",
        "http_reset",
        Ends::ByItself,
        &[r#"{"command":"http","http":{"path":"/order/cancel","fault":"reset","times":8}}"#],
    ),
    early(
        "connections dropped",
        "http_drop",
        Ends::Healed,
        &[r#"{"command":"http","http":{"fault":"drop","times":0}}"#],
    ),
    early(
        "cancels carried out, answers cut off",
        "http_truncate",
        Ends::ByItself,
        &[
            r#"{"command":"http","http":{"path":"/order/cancel","when":"after","fault":{"truncate":{"bytes":25}},"times":6}}"#,
        ],
    ),
    early(
        "answers without end",
        "http_endless",
        Ends::ByItself,
        &[r#"{"command":"http","http":{"path":"/order/cancel","when":"after","fault":"endless","times":2}}"#],
    ),
    early(
        "a page with status 200",
        "http_html_ok",
        Ends::Healed,
        &[r#"{"command":"http","http":{"fault":"html_ok","times":0}}"#],
    ),
    early(
        "the key is revoked",
        "http_code",
        Ends::Never,
        &[
            r#"{"command":"http","http":{"path":"/order/","fault":{"code":{"code":10003,"msg":"API key is invalid."}},"times":0}}"#,
        ],
    ),
    both("maintenance for a while", "maintenance", Ends::Healed, &[r#"{"command":"maintenance","on":true}"#]),
    both("banned", "ban", Ends::Never, &[r#"{"command":"ban","seconds":600}"#]),
    late("the venue stands still for a while", "engine_paused", Ends::Healed, &[r#"{"command":"pause","on":true}"#]),
    both("the venue's clock is ahead", "clock_skew", Ends::ByItself, &[r#"{"command":"clock_skew","ms":20000}"#]),
    both("the venue's clock is behind", "clock_skew", Ends::ByItself, &[r#"{"command":"clock_skew","ms":-20000}"#]),
    both("500 ms of latency from now on", "latency", Ends::ByItself, &[r#"{"command":"latency","ms":500}"#]),
    early("every push lost", "lost_push", Ends::ByItself, &[r#"{"command":"pushes","fault":"lose","times":0}"#]),
    early(
        "every push twice",
        "duplicate_push",
        Ends::ByItself,
        &[r#"{"command":"pushes","fault":"duplicate","times":0}"#],
    ),
    early(
        "pushes late",
        "delayed_push",
        Ends::ByItself,
        &[r#"{"command":"pushes","fault":"delay","ms":900,"times":0}"#],
    ),
    early(
        "pushes out of order",
        "delayed_push",
        Ends::ByItself,
        &[r#"{"command":"pushes","fault":"reorder","times":12}"#],
    ),
    late(
        "the account's stream dropped",
        "socket_dropped",
        Ends::ByItself,
        &[r#"{"command":"drop_sockets","scope":"private","how":"hard"}"#],
    ),
    late(
        "the account's stream silent",
        "socket_fell_silent",
        Ends::ByItself,
        &[r#"{"command":"drop_sockets","scope":"private","how":"silent"}"#],
    ),
    late(
        "market data dropped",
        "socket_dropped",
        Ends::ByItself,
        &[r#"{"command":"drop_sockets","scope":"public","how":"hard"}"#],
    ),
    late("every stream closed", "socket_closed", Ends::ByItself, &[r#"{"command":"drop_sockets","how":"gracefully"}"#]),
    creates(
        "answers of creates lost",
        "answer_lost",
        &[
            r#"{"command":"plan","on":"create","fault":"answer_lost","times":4}"#,
            r#"{"command":"move_price","symbol":"BTC-USDT","price":"64160"}"#,
        ],
    ),
    creates(
        "creates carried out, the venue says it failed, tells nothing and answers slowly",
        "server_error_executed",
        &[
            r#"{"command":"plan","on":"create","fault":"server_error_executed","times":4}"#,
            r#"{"command":"pushes","fault":"lose","times":0}"#,
            r#"{"command":"plan","on":"query","fault":{"delayed_answer":{"by_ms":1200}},"times":12}"#,
            r#"{"command":"move_price","symbol":"BTC-USDT","price":"64160"}"#,
        ],
    ),
    creates(
        "creates carried out late, the venue says nothing",
        "late_execution",
        &[
            r#"{"command":"plan","on":"create","fault":{"late_execution":{"after_ms":2500}},"times":3}"#,
            r#"{"command":"move_price","symbol":"BTC-USDT","price":"64160"}"#,
        ],
    ),
    creates(
        "creates reset before they are carried out",
        "http_reset",
        &[
            r#"{"command":"http","http":{"path":"/order/create","fault":"reset","times":4}}"#,
            r#"{"command":"move_price","symbol":"BTC-USDT","price":"64160"}"#,
        ],
    ),
];
