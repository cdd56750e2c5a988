//! Bybit v5, unified accounts: spot pairs and linear contracts in USDT and USDC.
//!
//! Always holds: an accepted cancel is "taken", never "done"; a create counts for at most three seconds; what the
//! tables do not prove is unknown. Never does: place anything but plain limit orders in one-way mode.

mod account;
pub mod codes;
mod envelope;
pub mod hosts;
mod listings;
mod orders;
mod requests;
pub mod rows;
pub mod sign;
pub mod streams;
pub mod symbols;
pub mod traits;

use std::sync::Arc;

use crate::domain::instrument::Switch;
use crate::domain::request::{Answered, Call};
use crate::domain::secret::ApiKey;
use crate::domain::time::Wall;
use crate::venues::wire::{HttpOutcome, HttpRequest};
use crate::venues::{Account, Codec, Opening, Part, Read, Reading, Signing};
use envelope::{Envelope, NotGood};
use hosts::Hosts;
use streams::Sockets;
use symbols::{Category, Symbols};

/// Requests and answers of one account.
#[derive(Debug)]
struct Bybit {
    key: Option<ApiKey>,
    symbols: Symbols,
    /// Categories the configuration trades, or left orders in.
    in_use: Vec<Category>,
    exclusive_account: bool,
    /// How much the venue's lists may be behind.
    lag_ms: i64,
}

/// Makes an account of Bybit from the operator's settings. Errors name everything that is wrong, each with its mend.
pub fn open(opening: &Opening<'_>) -> Result<Account, Vec<String>> {
    let settings = opening.settings;
    let mut errors = Vec::new();
    let mut keep = |mut wrong: Vec<String>| errors.append(&mut wrong);
    let symbols = Symbols::new(&settings.symbols).map_err(&mut keep).ok().map(|symbols| symbols.and(opening.also));
    let hosts = Hosts::new(&settings.connection, opening.key.is_some()).map_err(&mut keep).ok();
    if symbols.as_ref().is_some_and(|symbols| symbols.ours().is_empty()) {
        errors.push("no symbols: name at least one, for example BTC-USDT or BTC-USDT-PERP".into());
    }
    if let Some(key) = &opening.key {
        let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_plain(key.key.expose()) || !is_plain(key.secret.expose()) {
            errors.push(
                "the API key or its secret is empty or has characters that no key of Bybit has (a space, a line end): \
                 copy both again"
                    .into(),
            );
        }
    }
    let (Some(symbols), Some(hosts), true) = (symbols, hosts, errors.is_empty()) else {
        return Err(errors.into_iter().map(|error| format!("venue `{}`: {error}", settings.name)).collect());
    };
    let in_use = symbols.categories();
    let traits = traits::traits(settings, &in_use, &hosts);
    let streams = streams::streams(&Sockets {
        venue: opening.venue,
        symbols: &symbols,
        configured: &settings.symbols,
        key: opening.key.as_ref(),
        // The private stream asks for the venue's switch only where the traits promise one.
        exclusive_account: traits.switch != Switch::None,
        public_url: &|category| hosts.public(category),
        private_url: &hosts.private,
    });
    let codec = Bybit {
        key: opening.key.clone(),
        symbols,
        in_use,
        exclusive_account: settings.exclusive_account,
        lag_ms: i64::try_from(traits.lag.as_millis()).unwrap_or(i64::MAX),
    };
    Ok(Account { traits, rest_url: hosts.rest, codec: Arc::new(codec), streams })
}

impl Codec for Bybit {
    fn request(&self, call: &Call, part: &Part, signing: &Signing) -> Result<HttpRequest, Box<Answered>> {
        let key = self.key.as_ref();
        match call {
            Call::Create(create) => orders::create(key, create, signing),
            Call::Cancel(order) => orders::cancel(key, order, signing),
            Call::CancelBatch(batch) => orders::cancel_batch(key, batch, signing),
            Call::Query(order) => orders::query(key, order, signing),
            Call::History(order) => orders::history(key, order, signing),
            Call::ListOpen(page) => listings::open_orders(key, page.as_ref(), signing),
            Call::ListFills(since, page) => listings::fills(key, *since, page.as_ref(), part, signing),
            Call::Balances => account::balances(self, signing),
            Call::Positions => account::positions(self, part, signing),
            Call::Instruments => account::instruments(self, part),
            Call::Time => Ok(account::time()),
            Call::Access => account::access(self, part, signing),
            Call::CancelAll(scope) => orders::cancel_all(key, scope, signing),
            Call::SetSwitch(window) => account::set_switch(self, *window, part, signing),
            Call::ReadSwitch => account::read_switch(self, signing),
        }
    }

    fn read(&self, call: &Call, part: &Part, outcome: &HttpOutcome) -> Read {
        let alone = |answered| Read { reading: Reading::Answered(answered), limits: Vec::new(), server_time: None };
        let response = match outcome {
            HttpOutcome::NotSent(why) => return alone(Answered::NotSent(why.clone())),
            HttpOutcome::Lost(why) => return alone(Answered::Unknown(why.clone())),
            HttpOutcome::Got(response) => response,
        };
        let envelope = Envelope::open(response);
        let reading = match self.understand(call, part, &envelope) {
            Ok(reading) => reading,
            Err(NotGood::Answered(answered)) => Reading::Answered(envelope::safe(*answered, self.key.as_ref())),
            Err(NotGood::ClockWrong(server)) => Reading::ClockWrong { server },
        };
        let server_time: Option<Wall> = envelope.server_time;
        Read { reading, limits: envelope::limits(response, traits::bucket_of(call)), server_time }
    }
}

impl Bybit {
    fn understand(&self, call: &Call, part: &Part, envelope: &Envelope) -> Result<Reading, NotGood> {
        let key = self.key.as_ref();
        let answered = match call {
            Call::Create(create) => orders::created(envelope, create, key),
            Call::Cancel(order) => orders::cancelled(envelope, order, key),
            Call::CancelBatch(batch) => orders::batch_cancelled(envelope, batch, key),
            Call::Query(order) | Call::History(order) => orders::queried(envelope, order, &self.symbols, key),
            Call::ListOpen(page) => listings::open_orders_listed(self, envelope, page.as_ref()),
            Call::CancelAll(_) => orders::all_cancelled(envelope, key),
            Call::ListFills(since, page) => {
                return listings::fills_listed(self, envelope, *since, page.as_ref(), part);
            }
            Call::Balances => return account::balances_told(self, envelope),
            Call::Positions => return account::positions_told(self, envelope, part),
            Call::Instruments => return account::instruments_told(self, envelope, part),
            Call::Time => return account::time_told(self, envelope),
            Call::Access => return account::access_told(self, envelope, part),
            Call::SetSwitch(window) => return account::switch_set(self, *window, envelope, part),
            Call::ReadSwitch => return account::switch_read(self, envelope),
        };
        answered.map(Reading::Answered)
    }
}

#[cfg(test)]
mod tests;
