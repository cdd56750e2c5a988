//! Who may talk to the gateway, and how fast.

use std::fmt;

use crate::exchange::{AccountId, Setup};

/// A key of an account.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name on the wire.
    pub api_key: String,
    /// What requests are signed with.
    pub api_secret: String,
    /// Whose it is.
    pub account: AccountId,
    /// Whether it may place and cancel orders.
    pub may_trade: bool,
    /// Whether it says it may withdraw.
    pub may_withdraw: bool,
    /// Whether the account has been given the dead man's switch.
    pub has_switch: bool,
    /// Whether the account holds long and short positions apart.
    pub hedge_mode: bool,
}

impl Key {
    /// A key that may trade and nothing else, of an account without the switch.
    pub fn trading(api_key: &str, api_secret: &str, account: AccountId) -> Key {
        Key {
            api_key: api_key.to_owned(),
            api_secret: api_secret.to_owned(),
            account,
            may_trade: true,
            may_withdraw: false,
            has_switch: false,
            hedge_mode: false,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Key(of account {})", self.account)
    }
}

/// How fast a client may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Off: nothing is counted, and no limit is told.
    pub on: bool,
    /// Of the base tier, for limits of an account; 100 is the base tier itself.
    pub percent: u32,
    /// Requests in five seconds from one address (all clients together here); 0: not counted.
    pub address_per_5s: u32,
    /// How long an address that went over is banned.
    pub ban_s: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { on: true, percent: 100, address_per_5s: 600, ban_s: 600 }
    }
}

impl Limits {
    /// No limits at all.
    pub fn off() -> Limits {
        Limits { on: false, ..Limits::default() }
    }
}

/// Everything that makes a gateway.
#[derive(Clone, Debug)]
pub struct GatewaySetup {
    /// The venue behind it. Its limits of cancels and creates are not used: the gateway's are.
    pub setup: Setup,
    /// Who may talk to it.
    pub keys: Vec<Key>,
    /// How fast.
    pub limits: Limits,
    /// The venue's clock minus the model's.
    pub clock_skew_ms: i64,
}
