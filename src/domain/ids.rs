//! Names of things: venues, instruments, instances, epochs, orders.
//!
//! Always holds: a `ClientOrderId` is 18 characters of `[0-9a-z]`, starts with `lo`, and never repeats, because the
//! epoch rises at every start and the sequence counts up within it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::time::Wall;

/// A venue account of this configuration, by its place in the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VenueId(pub u8);

/// An instrument at one venue, by its place in the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstrumentId(pub u16);

/// A symbol in our form: `BTC-USDT`, `BTC-USDT-PERP`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Symbol(Arc<str>);

impl Symbol {
    /// From our form. The text is taken as it is; configuration checks its form.
    pub fn new(text: &str) -> Symbol {
        Symbol(Arc::from(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names a perpetual contract (`BTC-USDT-PERP`) and not a spot pair.
    pub fn is_perpetual(&self) -> bool {
        self.0.ends_with("-PERP")
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

/// The id the venue gave an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VenueOrderId(Arc<str>);

impl VenueOrderId {
    /// From the venue's text.
    pub fn new(text: &str) -> VenueOrderId {
        VenueOrderId(Arc::from(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VenueOrderId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

/// The id of a trade, unique within an account: a fill is booked once for each. Where a venue numbers trades or orders
/// by symbol, its codec puts the symbol in front, here and in `VenueOrderId`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TradeId(Arc<str>);

impl TradeId {
    /// From the venue's text.
    pub fn new(text: &str) -> TradeId {
        TradeId(Arc::from(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TradeId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

/// Why a text is not an id of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    /// Not four characters of `[0-9a-z]`.
    #[error("an instance is exactly four characters of 0-9 and a-z")]
    Instance,
    /// Not 18 characters of `[0-9a-z]` that start with `lo`.
    #[error("not a client order id of ours")]
    ClientOrder,
    /// More than the base-36 digits can hold.
    #[error("the number does not fit its base-36 digits")]
    TooLarge,
}

/// The four characters that tell our orders from those of every other instance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance([u8; 4]);

impl Instance {
    /// The text.
    pub fn as_str(&self) -> &str {
        // Only `[0-9a-z]` gets in, so this is always text.
        std::str::from_utf8(&self.0).unwrap_or("????")
    }

    /// Drawn from 32 bits of chance.
    pub fn from_chance(chance: u32) -> Instance {
        let mut digits = [b'0'; 4];
        write_base36(u64::from(chance) % 36_u64.pow(4), &mut digits);
        Instance(digits)
    }
}

impl FromStr for Instance {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Instance, BadId> {
        let bytes: [u8; 4] = text.as_bytes().try_into().map_err(|_| BadId::Instance)?;
        if bytes.iter().all(is_base36) { Ok(Instance(bytes)) } else { Err(BadId::Instance) }
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Run number: raised at every start, part of every client id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The largest number five base-36 digits hold.
    pub const MAX: Epoch = Epoch(36_u32.pow(5) - 1);

    /// The next epoch: above the stored one and above the ten-second steps since 2026-01-01, so that even a lost
    /// directory never repeats an id.
    pub fn next(stored: Option<Epoch>, now: Wall) -> Epoch {
        const BEGINNING_2026_MS: i64 = 1_767_225_600_000;
        let steps = (now.millis() - BEGINNING_2026_MS).max(0) / 10_000;
        let by_clock = u32::try_from(steps).unwrap_or(u32::MAX).max(1);
        let by_store = stored.map_or(0, |epoch| epoch.0.saturating_add(1));
        Epoch(by_clock.max(by_store).min(Epoch::MAX.0))
    }
}

impl Epoch {
    /// The one above.
    pub fn above(self) -> Epoch {
        Epoch(self.0.saturating_add(1).min(Epoch::MAX.0))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [b'0'; 5];
        write_base36(u64::from(self.0), &mut digits);
        out.pad(std::str::from_utf8(&digits).unwrap_or("?????"))
    }
}

/// The letter of a strategy, stored per name and never given to another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StrategyLetter(u8);

impl StrategyLetter {
    /// The letter with this number, `a` first; there are 36.
    pub fn nth(number: usize) -> Option<StrategyLetter> {
        b"abcdefghijklmnopqrstuvwxyz0123456789".get(number).map(|&byte| StrategyLetter(byte))
    }

    /// The character.
    pub fn as_char(self) -> char {
        char::from(self.0)
    }

    /// From the character.
    pub fn from_char(letter: char) -> Option<StrategyLetter> {
        let byte = u8::try_from(letter).ok()?;
        is_base36(&byte).then_some(StrategyLetter(byte))
    }
}

impl fmt::Debug for StrategyLetter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.as_char())
    }
}

/// `lo` + instance (4) + epoch (5) + strategy (1) + sequence (6). Ours, and unlike any other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientOrderId([u8; 18]);

impl ClientOrderId {
    /// The id with these parts; `None` when the sequence no longer fits.
    pub fn new(instance: Instance, epoch: Epoch, strategy: StrategyLetter, sequence: u32) -> Option<ClientOrderId> {
        if epoch > Epoch::MAX || u64::from(sequence) >= 36_u64.pow(6) {
            return None;
        }
        let mut text = *b"lo0000000000000000";
        text[2..6].copy_from_slice(&instance.0);
        write_base36(u64::from(epoch.0), &mut text[6..11]);
        text[11] = strategy.0;
        write_base36(u64::from(sequence), &mut text[12..18]);
        Some(ClientOrderId(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Only `[0-9a-z]` gets in, so this is always text.
        std::str::from_utf8(&self.0).unwrap_or("lo????????????????")
    }

    /// Whose it is.
    pub fn instance(&self) -> Instance {
        Instance([self.0[2], self.0[3], self.0[4], self.0[5]])
    }

    /// The run it was made in.
    pub fn epoch(&self) -> Epoch {
        // Five base-36 digits stay below 2^26.
        Epoch(u32::try_from(read_base36(&self.0[6..11])).unwrap_or(u32::MAX))
    }

    /// Which strategy made it.
    pub fn strategy(&self) -> StrategyLetter {
        StrategyLetter(self.0[11])
    }

    /// Its number within strategy and run.
    pub fn sequence(&self) -> u32 {
        // Six base-36 digits stay below 2^32.
        u32::try_from(read_base36(&self.0[12..18])).unwrap_or(u32::MAX)
    }
}

impl FromStr for ClientOrderId {
    type Err = BadId;
    fn from_str(text: &str) -> Result<ClientOrderId, BadId> {
        let bytes: [u8; 18] = text.as_bytes().try_into().map_err(|_| BadId::ClientOrder)?;
        if bytes.starts_with(b"lo") && bytes.iter().all(is_base36) {
            Ok(ClientOrderId(bytes))
        } else {
            Err(BadId::ClientOrder)
        }
    }
}

impl fmt::Display for ClientOrderId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

impl fmt::Debug for ClientOrderId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl Serialize for ClientOrderId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ClientOrderId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ClientOrderId, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn is_base36(byte: &u8) -> bool {
    byte.is_ascii_digit() || byte.is_ascii_lowercase()
}

fn write_base36(mut number: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize];
        number /= 36;
    }
}

fn read_base36(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number, &digit| {
        let value = if digit.is_ascii_digit() { digit - b'0' } else { digit.wrapping_sub(b'a').wrapping_add(10) };
        number * 36 + u64::from(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_carries_all_its_parts_in_18_characters() {
        let instance: Instance = "7k2p".parse().unwrap();
        let letter = StrategyLetter::from_char('a').unwrap();
        let id = ClientOrderId::new(instance, Epoch(2_791_747), letter, 35).unwrap();
        assert_eq!(id.as_str().len(), 18);
        let back: ClientOrderId = id.as_str().parse().unwrap();
        assert_eq!(
            (back.instance(), back.epoch(), back.strategy(), back.sequence()),
            (instance, Epoch(2_791_747), letter, 35)
        );
    }

    #[test]
    fn what_is_not_ours_is_not_parsed() {
        for text in ["", "lo", "xx7k2p000010a000001", "lo7K2P00001a000001", "lo7k2p00001a00000-", "my-own-order-00001"]
        {
            assert!(text.parse::<ClientOrderId>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_sequence_ends_instead_of_wrapping() {
        let letter = StrategyLetter::nth(0).unwrap();
        let instance = Instance::from_chance(7);
        assert!(ClientOrderId::new(instance, Epoch(1), letter, 36_u32.pow(6) - 1).is_some());
        assert!(ClientOrderId::new(instance, Epoch(1), letter, 36_u32.pow(6)).is_none());
    }

    #[test]
    fn an_epoch_rises_past_the_store_and_past_the_clock() {
        let now = Wall::from_millis(1_767_225_600_000 + 10_000 * 100);
        assert_eq!(Epoch::next(None, now), Epoch(100));
        assert_eq!(Epoch::next(Some(Epoch(50)), now), Epoch(100));
        assert_eq!(Epoch::next(Some(Epoch(100)), now), Epoch(101));
        assert_eq!(Epoch::next(Some(Epoch(9)), Wall::from_millis(0)), Epoch(10), "a clock before 2026 does not repeat");
    }
}
