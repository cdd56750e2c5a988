//! Keys that stand in the wrong place, and where they belong: in TOML a key behind a table's header is the table's.

/// Each table with its keys.
const HOMES: [(&str, &[&str]); 7] = [
    (
        "[risk]",
        &[
            "max_order_notional",
            "max_position_notional",
            "max_open_orders",
            "max_orders_per_second",
            "collar_through_bps",
            "collar_away_bps",
            "max_daily_loss",
            "uncovered_max_notional",
        ],
    ),
    ("[shutdown]", &["cancel_timeout_s", "recorder_timeout_s", "on_exit"]),
    ("[start]", &["on_start", "other_instances"]),
    ("[guardian]", &["restart", "after_crash", "hang_timeout_s", "residue_timeout_s"]),
    ("[store]", &["sync"]),
    ("the top of the file, before any table", &["instance"]),
    (
        "[[venue]]",
        &["exclusive_account", "environment", "rate_multiple", "rest_url", "ws_public_url", "ws_private_url"],
    ),
];

/// Where a key that is not known in the table `path` belongs instead.
pub(super) fn elsewhere(path: &str, key: &str) -> Option<String> {
    if path.is_empty() {
        match key {
            "mode" => {
                return Some("The mode is given by MODE or --mode alone, so that no file makes a run LIVE.".to_owned());
            }
            "state_dir" => {
                return Some("The state directory is given by LASTORDERS_STATE_DIR or --state-dir.".to_owned());
            }
            "web" => return Some("The page's address is given by LASTORDERS_WEB.".to_owned()),
            _ => {}
        }
    }
    let (home, _) = HOMES.iter().find(|(_, keys)| keys.contains(&key))?;
    Some(format!("It belongs to {home}."))
}
