//! Names of instruments, both ways: ours (`BTC-USDT`, `BTC-USDT-PERP`) and the venue's (a category and `BTCUSDT`).
//!
//! Always holds: the name of an instrument the account shows, in our form, leads back to the same instrument at the
//! venue, configured or not: an order found there must be cancellable.

use std::collections::BTreeMap;

use crate::domain::ids::Symbol;
use crate::domain::instrument::InstrumentKind;

/// Kinds of instrument, as the venue groups them. Others (inverse, option) are not ours to trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// Spot pairs.
    Spot,
    /// Contracts paid in USDT or USDC.
    Linear,
}

impl Category {
    /// Both.
    pub const ALL: [Category; 2] = [Category::Spot, Category::Linear];

    /// The venue's word.
    pub fn word(self) -> &'static str {
        match self {
            Category::Spot => "spot",
            Category::Linear => "linear",
        }
    }

    /// From the venue's word; `None` for one we do not trade.
    pub fn from_word(word: &str) -> Option<Category> {
        Category::ALL.into_iter().find(|category| category.word() == word)
    }

    /// Of a symbol in our form.
    pub fn of(symbol: &Symbol) -> Category {
        match InstrumentKind::of_symbol(symbol) {
            InstrumentKind::Spot => Category::Spot,
            InstrumentKind::Linear => Category::Linear,
        }
    }

    /// In our words.
    pub fn kind(self) -> InstrumentKind {
        match self {
            Category::Spot => InstrumentKind::Spot,
            Category::Linear => InstrumentKind::Linear,
        }
    }
}

/// What linear contracts are paid in.
pub const SETTLE_COINS: [&str; 2] = ["USDT", "USDC"];

/// What spot pairs are paid in, longest first. Only splits names nobody configured; a quote that is missing here costs
/// a dash and nothing else.
const SPOT_QUOTES: [&str; 17] = [
    "RLUSD", "USDT", "USDC", "USDE", "USD1", "USDQ", "XUSD", "BTC", "ETH", "EUR", "BRL", "PLN", "TRY", "DAI", "BRZ",
    "SOL", "MNT",
];

/// The names this account works with.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    ours: Vec<Symbol>,
    by_venue_name: BTreeMap<(Category, String), Symbol>,
}

impl Symbols {
    /// From the symbols that are configured. Errors name every symbol the venue cannot have.
    pub fn new<'a>(symbols: impl IntoIterator<Item = &'a Symbol>) -> Result<Symbols, Vec<String>> {
        let (mut known, mut errors) = (Symbols::default(), Vec::new());
        for symbol in symbols {
            if known.ours.contains(symbol) {
                continue;
            }
            if symbol.is_perpetual() && !SETTLE_COINS.iter().any(|coin| is_paid_in(symbol, coin)) {
                errors.push(format!(
                    "Bybit has no {symbol}: its perpetual contracts are paid in USDT or USDC. Write for example \
                     BTC-USDT-PERP"
                ));
                continue;
            }
            let name = (Category::of(symbol), venue_name(symbol));
            if let Some(other) = known.by_venue_name.insert(name, symbol.clone()) {
                errors.push(format!("{symbol} and {other} are one instrument at Bybit. Keep one of them"));
            }
            known.ours.push(symbol.clone());
        }
        if errors.is_empty() { Ok(known) } else { Err(errors) }
    }

    /// These too, whatever their form: orders were left there under names of ours.
    pub fn and<'a>(mut self, also: impl IntoIterator<Item = &'a Symbol>) -> Symbols {
        for symbol in also {
            let name = (Category::of(symbol), venue_name(symbol));
            if let std::collections::btree_map::Entry::Vacant(place) = self.by_venue_name.entry(name) {
                place.insert(symbol.clone());
                self.ours.push(symbol.clone());
            }
        }
        self
    }

    /// The symbols, in the order they came.
    pub fn ours(&self) -> &[Symbol] {
        &self.ours
    }

    /// The symbols of a category.
    pub fn of(&self, category: Category) -> impl Iterator<Item = &Symbol> {
        self.ours.iter().filter(move |symbol| Category::of(symbol) == category)
    }

    /// The categories that are in use.
    pub fn categories(&self) -> Vec<Category> {
        Category::ALL.into_iter().filter(|category| self.of(*category).next().is_some()).collect()
    }

    /// Ours, for the venue's name. Made up reversibly where it is not configured.
    pub fn symbol(&self, category: Category, name: &str) -> Symbol {
        let known = self.by_venue_name.get(&(category, name.to_owned()));
        known.cloned().unwrap_or_else(|| made_up(category, name))
    }
}

/// The venue's name of a symbol. USDC contracts are called `BTCPERP`, not `BTCUSDC`.
pub fn venue_name(symbol: &Symbol) -> String {
    let text = symbol.as_str();
    let Some(contract) = text.strip_suffix("-PERP") else {
        return text.replace('-', "");
    };
    match contract.rsplit_once('-') {
        Some((base, "USDT")) => format!("{base}USDT"),
        Some((base, "USDC")) => format!("{base}PERP"),
        // The venue's own name, kept as it is (`BTC-26DEC25`): see `made_up`.
        _ => contract.to_owned(),
    }
}

/// What a contract is paid in, or what a pair is paid with.
pub fn quote_of(symbol: &Symbol) -> String {
    let text = symbol.as_str();
    let pair = text.strip_suffix("-PERP").unwrap_or(text);
    match pair.rsplit_once('-') {
        Some((_, quote)) if !symbol.is_perpetual() || SETTLE_COINS.contains(&quote) => quote.to_owned(),
        // Dated contracts say it only when it is USDT: `BTCUSDT-26DEC25`, `BTC-26DEC25`.
        _ if pair.contains("USDT") || !symbol.is_perpetual() => "USDT".to_owned(),
        _ => "USDC".to_owned(),
    }
}

/// What is bought and sold.
pub fn base_of(symbol: &Symbol) -> String {
    let text = symbol.as_str();
    let pair = text.strip_suffix("-PERP").unwrap_or(text);
    pair.rsplit_once('-').map_or(pair, |(base, _)| base).to_owned()
}

fn is_paid_in(symbol: &Symbol, coin: &str) -> bool {
    let pair = symbol.as_str().strip_suffix("-PERP").and_then(|pair| pair.rsplit_once('-'));
    pair.is_some_and(|(base, quote)| !base.is_empty() && quote == coin)
}

/// Our form of a name nobody configured: split where the venue's names can be split, else the name itself.
fn made_up(category: Category, name: &str) -> Symbol {
    let split = |suffix: &str| name.strip_suffix(suffix).filter(|base| !base.is_empty());
    let text = match category {
        Category::Spot => {
            let pair = SPOT_QUOTES.iter().find_map(|quote| split(quote).map(|base| format!("{base}-{quote}")));
            pair.unwrap_or_else(|| name.to_owned())
        }
        Category::Linear => match (split("USDT"), split("PERP")) {
            (Some(base), _) => format!("{base}-USDT-PERP"),
            (None, Some(base)) => format!("{base}-USDC-PERP"),
            (None, None) => format!("{name}-PERP"),
        },
    };
    Symbol::new(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn symbols(names: &[&str]) -> Symbols {
        let ours: Vec<Symbol> = names.iter().map(|name| Symbol::new(name)).collect();
        Symbols::new(&ours).unwrap()
    }

    #[test]
    fn names_lead_both_ways() {
        let cases = [
            ("BTC-USDT", Category::Spot, "BTCUSDT"),
            ("BTC-USDT-PERP", Category::Linear, "BTCUSDT"),
            ("ETH-USDC", Category::Spot, "ETHUSDC"),
            ("ETH-USDC-PERP", Category::Linear, "ETHPERP"),
            ("1000PEPE-USDT-PERP", Category::Linear, "1000PEPEUSDT"),
            ("BTC-26DEC25-PERP", Category::Linear, "BTC-26DEC25"),
            ("BTCUSDT-26DEC25-PERP", Category::Linear, "BTCUSDT-26DEC25"),
            ("ODD", Category::Spot, "ODD"),
        ];
        for (ours, category, name) in cases {
            assert_eq!(venue_name(&Symbol::new(ours)), name);
            assert_eq!(Symbols::default().symbol(category, name).as_str(), ours, "unconfigured");
            assert_eq!(Category::of(&Symbol::new(ours)), category);
        }
    }

    #[test]
    fn what_is_configured_decides_where_a_name_is_split() {
        assert_eq!(symbols(&["X-YZT"]).symbol(Category::Spot, "XYZT").as_str(), "X-YZT");
        assert_eq!(symbols(&["AB-TC"]).symbol(Category::Spot, "ABTC").as_str(), "AB-TC");
        assert_eq!(Symbols::default().symbol(Category::Spot, "ABTC").as_str(), "A-BTC");
    }

    #[test]
    fn what_the_venue_cannot_have_is_refused_all_at_once() {
        let wrong = ["BTC-EUR-PERP", "BTC-USDT", "BT-CUSDT"].map(Symbol::new);
        let errors = Symbols::new(&wrong).unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].contains("BTC-EUR-PERP") && errors[1].contains("BT-CUSDT"));
    }

    #[test]
    fn orders_left_under_odd_names_do_not_keep_the_account_shut() {
        let left = ["BTC-26DEC25-PERP", "BTC-USDT", "BT-CUSDT"].map(Symbol::new);
        let known = symbols(&["BTC-USDT"]).and(&left);
        assert_eq!(known.ours(), ["BTC-USDT", "BTC-26DEC25-PERP"].map(Symbol::new));
        assert_eq!(known.symbol(Category::Linear, "BTC-26DEC25").as_str(), "BTC-26DEC25-PERP");
        assert_eq!(known.categories(), Category::ALL);
    }

    #[test]
    fn the_quote_of_a_contract_is_what_it_is_paid_in() {
        for (symbol, quote) in [
            ("BTC-USDT", "USDT"),
            ("ETH-BTC", "BTC"),
            ("BTC-USDC-PERP", "USDC"),
            ("BTC-26DEC25-PERP", "USDC"),
            ("BTCUSDT-26DEC25-PERP", "USDT"),
        ] {
            assert_eq!(quote_of(&Symbol::new(symbol)), quote, "{symbol}");
        }
    }

    proptest! {
        #[test]
        fn every_name_of_the_venue_leads_back_to_itself(spot in "[A-Z0-9]{1,12}", linear in "[A-Z0-9]{1,12}(-[A-Z0-9]{1,7})?") {
            for (category, name) in [(Category::Spot, spot), (Category::Linear, linear)] {
                let ours = Symbols::default().symbol(category, &name);
                prop_assert_eq!(Category::of(&ours), category);
                prop_assert_eq!(venue_name(&ours), name);
            }
        }
    }
}
