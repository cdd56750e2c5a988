//! What the venue's codes mean, as data.
//!
//! Always holds: a code that is not in the table proves nothing (`Unknown`); a create is refused only by codes the
//! engine answers before it takes an order.

use std::time::Duration;

use crate::domain::request::RefusalKind;

/// What a request was about, as far as codes care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Placing an order.
    Create,
    /// Cancelling orders.
    Cancel,
    /// Asking, or setting something that may be set twice.
    Ask,
}

impl About {
    /// All of them.
    pub const ALL: [About; 3] = [About::Create, About::Cancel, About::Ask];
}

/// What a code proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done, or taken.
    Done,
    /// Proved not done.
    Refused(RefusalKind),
    /// Nothing.
    Unknown,
    /// Not executed; again after at least this.
    Later(Duration),
    /// Not executed; the clock is off.
    ClockWrong,
}

/// How long a banned address must be silent.
pub const BAN: Duration = Duration::from_secs(600);
/// The shortest wait after a rate limit, where the venue does not say.
pub const RATE_WAIT: Duration = Duration::from_millis(200);
const ADDRESS_RATE_WAIT: Duration = Duration::from_secs(5);

/// A line of the table.
#[derive(Clone, Copy, Debug)]
struct Line {
    codes: &'static [i64],
    create: Verdict,
    cancel: Verdict,
    ask: Verdict,
    /// What the operator should know or do; empty where the venue's own words suffice.
    mend: &'static str,
}

const fn all(codes: &'static [i64], verdict: Verdict, mend: &'static str) -> Line {
    Line { codes, create: verdict, cancel: verdict, ask: verdict, mend }
}

/// Codes that only make sense for a create: as an answer to anything else they prove nothing.
const fn create_only(codes: &'static [i64], kind: RefusalKind) -> Line {
    Line { codes, create: Verdict::Refused(kind), cancel: Verdict::Unknown, ask: Verdict::Unknown, mend: "" }
}

const OTHER: Verdict = Verdict::Refused(RefusalKind::Other);

const TABLE: &[Line] = &[
    all(&[0], Verdict::Done, ""),
    Line {
        // Filled, cancelled, or not visible yet.
        codes: &[110_001, 170_213, 170_143],
        create: Verdict::Unknown,
        cancel: Verdict::Refused(RefusalKind::NotFound),
        ask: Verdict::Refused(RefusalKind::NotFound),
        mend: "",
    },
    Line {
        codes: &[110_008, 110_010, 170_139, 170_142, 170_190],
        create: Verdict::Unknown,
        cancel: Verdict::Refused(RefusalKind::AlreadyEnded),
        ask: Verdict::Unknown,
        mend: "",
    },
    Line {
        codes: &[170_212, 170_035],
        create: Verdict::Unknown,
        cancel: Verdict::Refused(RefusalKind::AlreadyCanceling),
        ask: Verdict::Unknown,
        mend: "",
    },
    Line {
        // The order is busy (being changed): not cancelled, and it can be asked for again at once.
        codes: &[110_079, 170_191, 40_004],
        create: Verdict::Unknown,
        cancel: Verdict::Later(RATE_WAIT),
        ask: Verdict::Unknown,
        mend: "",
    },
    // Time-outs and errors inside the venue.
    all(
        &[
            170_146, 170_147, 10_000, 10_016, 10_019, 5_004, 170_001, 170_007, 170_032, 3_400_214, 170_149, 170_150,
            170_210, 170_234,
        ],
        Verdict::Unknown,
        "",
    ),
    // An earlier try went in.
    create_only(&[110_072, 170_141, 12_141, 10_014], RefusalKind::DuplicateId),
    all(&[10_006, 10_429, 429, 170_005, 170_222, 20_003], Verdict::Later(RATE_WAIT), ""),
    all(&[10_018], Verdict::Later(ADDRESS_RATE_WAIT), "This address sends too much, over all accounts together"),
    all(
        &[10_403, 10_009],
        Verdict::Later(BAN),
        "This address is banned for a while: nothing is sent meanwhile, cancels included",
    ),
    all(&[10_002, -1], Verdict::ClockWrong, ""),
    all(
        &[10_003, 10_004],
        OTHER,
        "Key, secret, environment and host must belong together: a key of testnet, demo or a regional site works only \
         there",
    ),
    all(&[10_005], OTHER, "Give the key the right to trade orders of this category (and positions, for contracts)"),
    all(&[10_010], OTHER, "The key is bound to other addresses than this one"),
    all(&[33_004, -2_015, 10_007, 10_008], OTHER, "The key has expired or is not valid: make a new one"),
    create_only(
        &[110_004, 110_006, 110_007, 110_012, 110_014, 110_044, 110_045, 110_051, 110_052, 110_053, 170_131, 170_033],
        RefusalKind::Funds,
    ),
    create_only(&[110_020, 170_810], RefusalKind::TooManyOrders),
    create_only(&[170_217, 170_218], RefusalKind::WouldCross),
    create_only(
        &[
            110_003, 110_094, 110_017, 170_124, 170_130, 170_132, 170_133, 170_134, 170_135, 170_136, 170_137, 170_140,
            170_192, 170_193, 170_194, 170_371, 170_372, 12_137, 30_208, 30_209,
        ],
        RefusalKind::Other,
    ),
    all(&[10_001, 7_001, 20_006, 10_404, 10_017], OTHER, ""),
    Line {
        // Settlement, not live, an auction phase: no orders are taken, and perhaps no cancels until it ends.
        codes: &[110_063, 110_066, 110_074, 110_095],
        create: OTHER,
        cancel: Verdict::Refused(RefusalKind::NotNow),
        ask: Verdict::Unknown,
        mend: "The instrument is in settlement, in an auction or not live yet",
    },
];

/// What a code proves about a request, and what the operator should know.
pub fn verdict(about: About, code: i64) -> (Verdict, &'static str) {
    let Some(line) = TABLE.iter().find(|line| line.codes.contains(&code)) else {
        return (Verdict::Unknown, "");
    };
    let verdict = match about {
        About::Create => line.create,
        About::Cancel => line.cancel,
        About::Ask => line.ask,
    };
    (verdict, line.mend)
}

/// What an HTTP status other than 200 proves by itself. `body`: its text, for telling a ban from a blocked country.
pub fn of_status(status: u16, body: &str) -> (Verdict, &'static str) {
    match status {
        403 if body.to_ascii_lowercase().contains("too frequent") => (
            Verdict::Later(BAN),
            "Bybit has banned this address for sending too much. Nothing is sent for at least ten minutes; cancels are \
             impossible meanwhile",
        ),
        403 => (
            OTHER,
            "Bybit refuses addresses in the USA, mainland China and other countries, and keys of a regional site (.nl, \
             .tr, .kz, .eu, ...) on another site's host: set rest_url and the ws urls to your region's",
        ),
        429 => (Verdict::Later(RATE_WAIT), ""),
        // The door is shut before anything is carried out. Nothing else below 500 is clear enough.
        400 | 401 | 404 | 405 | 411 | 413 | 414 | 415 | 431 | 451 => {
            (OTHER, "Is rest_url the venue's? Are key and environment the right ones?")
        }
        _ => (Verdict::Unknown, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_code_stands_in_the_table_twice() {
        let mut seen = BTreeSet::new();
        for code in TABLE.iter().flat_map(|line| line.codes) {
            assert!(seen.insert(code), "{code}");
        }
        assert!(seen.len() > 80, "{}", seen.len());
    }

    #[test]
    fn what_is_not_in_the_table_proves_nothing() {
        for about in About::ALL {
            for code in [1, 999_999, 110_999, -7, i64::MAX, i64::MIN] {
                assert_eq!(verdict(about, code), (Verdict::Unknown, ""));
            }
            assert_eq!(verdict(about, 0).0, Verdict::Done);
        }
    }

    #[test]
    fn codes_mean_what_the_venue_says_for_each_call() {
        use RefusalKind::{
            AlreadyCanceling, AlreadyEnded, DuplicateId, Funds, NotFound, NotNow, Other, TooManyOrders, WouldCross,
        };
        use Verdict::{ClockWrong, Later, Refused, Unknown};
        let cases = [
            (About::Cancel, 110_001, Refused(NotFound)),
            (About::Cancel, 170_213, Refused(NotFound)),
            (About::Create, 110_001, Unknown),
            (About::Cancel, 110_010, Refused(AlreadyEnded)),
            (About::Cancel, 170_212, Refused(AlreadyCanceling)),
            (About::Create, 170_212, Unknown),
            (About::Create, 170_146, Unknown),
            (About::Cancel, 170_147, Unknown),
            (About::Create, 10_016, Unknown),
            (About::Create, 110_072, Refused(DuplicateId)),
            (About::Cancel, 110_072, Unknown),
            (About::Create, 10_006, Later(RATE_WAIT)),
            (About::Cancel, 10_006, Later(RATE_WAIT)),
            (About::Ask, 10_403, Later(BAN)),
            (About::Create, 10_002, ClockWrong),
            (About::Cancel, -1, ClockWrong),
            (About::Cancel, 10_003, Refused(Other)),
            (About::Create, 110_007, Refused(Funds)),
            (About::Create, 170_810, Refused(TooManyOrders)),
            (About::Create, 170_218, Refused(WouldCross)),
            (About::Create, 10_001, Refused(Other)),
            (About::Cancel, 110_095, Refused(NotNow)),
        ];
        for (about, code, expected) in cases {
            assert_eq!(verdict(about, code).0, expected, "{about:?} {code}");
        }
    }

    #[test]
    fn only_a_ban_is_a_ban() {
        assert_eq!(of_status(403, "403, Access too frequent").0, Verdict::Later(BAN));
        let blocked =
            of_status(403, "The Amazon CloudFront distribution is configured to block access from your country.");
        assert_eq!(blocked.0, OTHER);
        assert!(blocked.1.contains("mainland China") && blocked.1.contains("regional"));
        for status in [500, 502, 503, 504, 521, 408, 425, 302, 307, 201, 100] {
            assert_eq!(of_status(status, "").0, Verdict::Unknown, "{status}");
        }
    }
}
