//! Starts that must not lead to trading. Most of them try for a minute first, all at the same time.

use super::{refused, tell, unusable};

#[test]
fn a_start_that_must_not_trade_says_why_and_what_to_do_and_sends_nothing() {
    tell(&[
        ("refused", refused::all_of_the_table),
        ("the clock", refused::a_clock_that_is_off),
        ("the account", refused::a_second_start_on_the_same_account),
        ("the certificate", refused::a_server_that_nobody_vouches_for),
        ("answers", unusable::all_of_the_table),
        ("subscriptions", unusable::a_stream_that_refuses_its_topics),
    ]);
}
