//! Names on the wire: symbols by category, order and execution ids.
//!
//! Always holds: an id stands for exactly one number of the model, and is read back only if it is spelled exactly so.

use crate::domain::ids::Symbol;

/// The two kinds of market spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Category {
    Spot,
    Linear,
}

impl Category {
    pub(super) fn parse(text: &str) -> Option<Category> {
        match text {
            "spot" => Some(Category::Spot),
            "linear" => Some(Category::Linear),
            _ => None,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Category::Spot => "spot",
            Category::Linear => "linear",
        }
    }
}

/// What an instrument is called here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) category: Category,
    pub(super) name: String,
    pub(super) base: String,
    pub(super) quote: String,
}

impl Listed {
    pub(super) fn of(symbol: &Symbol, base: &str, quote: &str, is_contract: bool) -> Listed {
        let (category, name) = match (is_contract, quote) {
            (false, _) => (Category::Spot, format!("{base}{quote}")),
            (true, "USDC") => (Category::Linear, format!("{base}PERP")),
            (true, _) => (Category::Linear, format!("{base}{quote}")),
        };
        // A symbol of another make is called as it is, without what no name here has.
        let name = if base.is_empty() || quote.is_empty() { symbol.as_str().replace('-', "") } else { name };
        Listed { category, name, base: base.to_owned(), quote: quote.to_owned() }
    }
}

const SPOT_BASE: u64 = 1_900_000_000_000_000_000;
const SPOT_STEP: u64 = 256;
const SPOT_EXECUTION_BASE: u64 = 2_290_000_000_000_000_000;
const LINK_BASE: u64 = 1_700_000_000_000_000_000;
/// So that the numbers hidden in an id do not look like a row of numbers.
const MASK: u64 = 0x0000_5a3c_9e17_d24b;
const LOW_48: u64 = 0x0000_ffff_ffff_ffff;

fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn uuid(number: u64, salt: u64) -> String {
    let hash = mixed(number ^ salt);
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        hash >> 32,
        (hash >> 16) & 0xffff,
        (hash >> 4) & 0xfff,
        mixed(hash) & 0xfff,
        (number ^ MASK ^ salt) & LOW_48
    )
}

/// An order's id: decimal on spot, a UUID elsewhere.
pub(super) fn order_id(category: Category, number: u64) -> String {
    match category {
        Category::Spot => SPOT_BASE.saturating_add(number.saturating_mul(SPOT_STEP)).to_string(),
        Category::Linear => uuid(number, 0),
    }
}

/// The number behind an order's id, and the category it is of.
pub(super) fn order_number(id: &str) -> Option<(Category, u64)> {
    let (category, number) = match id.rsplit_once('-') {
        None => (Category::Spot, id.parse::<u64>().ok()?.checked_sub(SPOT_BASE)? / SPOT_STEP),
        Some((_, tail)) => (Category::Linear, (u64::from_str_radix(tail, 16).ok()? ^ MASK) & LOW_48),
    };
    (order_id(category, number) == id).then_some((category, number))
}

/// The name of an execution.
pub(super) fn execution_id(category: Category, trade: u64) -> String {
    match category {
        Category::Spot => SPOT_EXECUTION_BASE.saturating_add(trade).to_string(),
        Category::Linear => uuid(trade, 0x77),
    }
}

/// What an order is called in the model when its sender gave it no name. On spot the venue makes one up and shows it, as
/// it does here; elsewhere nobody sees it.
pub(super) fn link_made_up(category: Category, request: u64, leg: usize) -> String {
    match category {
        Category::Spot => (LINK_BASE + request * 64 + leg as u64).to_string(),
        Category::Linear => format!("~{request}.{leg}"),
    }
}

/// The link id as the wire shows it.
pub(super) fn link_shown(client_id: &str) -> &str {
    if client_id.starts_with('~') { "" } else { client_id }
}

/// Whether a caller may call an order so.
pub(super) fn link_is_good(link: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !link.is_empty() && link.len() <= 36 && link.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_as_the_numbers_they_stand_for() {
        for number in [1, 2, 77, 1_000_000] {
            for category in [Category::Spot, Category::Linear] {
                let id = order_id(category, number);
                assert_eq!(order_number(&id), Some((category, number)), "{id}");
            }
        }
        assert_eq!(order_id(Category::Linear, 1).len(), 36);
        assert!(order_id(Category::Spot, 1).bytes().all(|byte| byte.is_ascii_digit()));
    }

    #[test]
    fn an_id_that_is_spelled_otherwise_is_no_id() {
        let uuid = order_id(Category::Linear, 9);
        let decimal = order_id(Category::Spot, 9);
        for bad in [
            "",
            "-",
            "V9",
            "9",
            &uuid.to_uppercase(),
            &uuid[1..],
            &format!("{decimal} "),
            &format!("0{decimal}"),
            "99999999999999999999999999",
            &order_id(Category::Linear, 9).replace("-4", "-5"),
        ] {
            assert_eq!(order_number(bad), None, "{bad}");
        }
    }

    #[test]
    fn links_follow_the_rules() {
        assert!(link_is_good("lo7k2p000010a000001") && link_is_good("A-b_9"));
        for bad in ["", "~1.0", "a b", "ä", &"x".repeat(37)] {
            assert!(!link_is_good(bad), "{bad}");
        }
        assert_eq!(link_shown(&link_made_up(Category::Linear, 3, 0)), "");
        assert!(link_is_good(&link_made_up(Category::Spot, 3, 0)));
    }

    #[test]
    fn contracts_settled_in_usdc_have_their_own_names() {
        let name = |symbol: &str, base: &str, quote: &str, contract: bool| {
            Listed::of(&Symbol::new(symbol), base, quote, contract).name
        };
        assert_eq!(name("BTC-USDT", "BTC", "USDT", false), "BTCUSDT");
        assert_eq!(name("BTC-USDT-PERP", "BTC", "USDT", true), "BTCUSDT");
        assert_eq!(name("BTC-USDC-PERP", "BTC", "USDC", true), "BTCPERP");
        assert_eq!(name("BTC-USDC", "BTC", "USDC", false), "BTCUSDC");
    }
}
