//! What can be asked over HTTP: path to endpoint, and what each needs.

use super::names::Category;

/// An endpoint, as it is routed and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Endpoint {
    Time,
    Status,
    Instruments,
    Tickers,
    Book,
    Prints,
    Candles,
    Create,
    CreateBatch,
    Amend,
    Cancel,
    CancelBatch,
    CancelAll,
    Orders,
    History,
    Executions,
    Wallet,
    Positions,
    FeeRate,
    AccountInfo,
    KeyInfo,
    Coins,
    SetSwitch,
    ReadSwitch,
    /// Taken and without effect: what a client sets before it trades.
    Setting,
}

const ROUTES: &[(&str, &str, Endpoint)] = &[
    ("GET", "/v5/market/time", Endpoint::Time),
    ("GET", "/v5/system/status", Endpoint::Status),
    ("GET", "/v5/market/instruments-info", Endpoint::Instruments),
    ("GET", "/v5/market/tickers", Endpoint::Tickers),
    ("GET", "/v5/market/orderbook", Endpoint::Book),
    ("GET", "/v5/market/recent-trade", Endpoint::Prints),
    ("GET", "/v5/market/kline", Endpoint::Candles),
    ("POST", "/v5/order/create", Endpoint::Create),
    ("POST", "/v5/order/create-batch", Endpoint::CreateBatch),
    ("POST", "/v5/order/amend", Endpoint::Amend),
    ("POST", "/v5/order/cancel", Endpoint::Cancel),
    ("POST", "/v5/order/cancel-batch", Endpoint::CancelBatch),
    ("POST", "/v5/order/cancel-all", Endpoint::CancelAll),
    ("GET", "/v5/order/realtime", Endpoint::Orders),
    ("GET", "/v5/order/history", Endpoint::History),
    ("GET", "/v5/execution/list", Endpoint::Executions),
    ("GET", "/v5/account/wallet-balance", Endpoint::Wallet),
    ("GET", "/v5/position/list", Endpoint::Positions),
    ("GET", "/v5/account/fee-rate", Endpoint::FeeRate),
    ("GET", "/v5/account/info", Endpoint::AccountInfo),
    ("GET", "/v5/user/query-api", Endpoint::KeyInfo),
    ("GET", "/v5/asset/coin/query-info", Endpoint::Coins),
    ("POST", "/v5/order/disconnected-cancel-all", Endpoint::SetSwitch),
    ("GET", "/v5/account/query-dcp-info", Endpoint::ReadSwitch),
    ("POST", "/v5/position/set-leverage", Endpoint::Setting),
    ("POST", "/v5/position/switch-mode", Endpoint::Setting),
    ("POST", "/v5/account/set-margin-mode", Endpoint::Setting),
];

impl Endpoint {
    pub(super) fn of(method: &str, path: &str) -> Option<Endpoint> {
        let mut routes = ROUTES.iter();
        routes.find(|(wanted, known, _)| *wanted == method && *known == path).map(|(.., endpoint)| *endpoint)
    }

    /// Whether anyone may ask.
    pub(super) fn public(self) -> bool {
        matches!(
            self,
            Endpoint::Time
                | Endpoint::Status
                | Endpoint::Instruments
                | Endpoint::Tickers
                | Endpoint::Book
                | Endpoint::Prints
                | Endpoint::Candles
        )
    }

    /// Whether it needs the permission to trade.
    pub(super) fn trades(self) -> bool {
        matches!(
            self,
            Endpoint::Create
                | Endpoint::CreateBatch
                | Endpoint::Amend
                | Endpoint::Cancel
                | Endpoint::CancelBatch
                | Endpoint::CancelAll
                | Endpoint::SetSwitch
                | Endpoint::Setting
        )
    }

    /// Whether it counts orders instead of requests.
    pub(super) fn batch(self) -> bool {
        matches!(self, Endpoint::CreateBatch | Endpoint::CancelBatch)
    }

    /// Requests a second and account in the base tier; `None`: not counted by account.
    pub(super) fn per_second(self, category: Category) -> Option<u32> {
        let spot = category == Category::Spot;
        match self {
            Endpoint::Create
            | Endpoint::Cancel
            | Endpoint::CancelAll
            | Endpoint::CreateBatch
            | Endpoint::CancelBatch => Some(if spot { 20 } else { 10 }),
            Endpoint::Amend | Endpoint::Setting => Some(10),
            Endpoint::Orders | Endpoint::History | Endpoint::Executions | Endpoint::Positions | Endpoint::Wallet => {
                Some(50)
            }
            Endpoint::SetSwitch => Some(5),
            Endpoint::FeeRate | Endpoint::AccountInfo | Endpoint::KeyInfo | Endpoint::Coins | Endpoint::ReadSwitch => {
                Some(10)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_another_method_is_no_endpoint() {
        assert_eq!(Endpoint::of("POST", "/v5/order/create"), Some(Endpoint::Create));
        assert_eq!(Endpoint::of("GET", "/v5/order/create"), None);
        assert_eq!(Endpoint::of("POST", "/v5/order/create/"), None);
    }

    #[test]
    fn everything_that_is_not_public_is_counted() {
        for (_, path, endpoint) in ROUTES {
            let counted = endpoint.per_second(Category::Linear).is_some();
            assert_ne!(endpoint.public(), counted, "{path}");
        }
    }
}
