//! The dead man's switch.

use super::*;

fn armed(topics: &[&str]) -> (Stand, SocketId) {
    let mut stand = Stand::new(still());
    for product in ["DERIVATIVES", "SPOT"] {
        let set = json!({ "product": product, "timeWindow": 10 });
        let answer = stand.post("ann", "/v5/order/disconnected-cancel-all", set);
        assert_eq!(answer, json!({ "retCode": 0, "retMsg": "success" }));
    }
    let socket = stand.private("ann", topics);
    stand.create("linear", "linear", "Buy", "60000");
    stand.create("spot", "spot", "Buy", "60000");
    stand.post("bob", "/v5/order/create", order("linear", "bobs", "Buy", "60000"));
    (stand, socket)
}

fn open(stand: &Stand) -> Vec<String> {
    let accounts = [ANN, BOB].into_iter();
    accounts.flat_map(|account| stand.gateway.exchange().open_orders(account)).map(|view| view.client_id).collect()
}

#[test]
fn it_runs_out_when_pings_stop_and_covers_only_its_product_and_account() {
    let (mut stand, socket) = armed(&["dcp.future", "order"]);
    for _ in 0..5 {
        stand.run_ms(9_000);
        stand.say(socket, json!({ "op": "ping" }));
    }
    assert_eq!(open(&stand), ["linear", "spot", "bobs"], "pings keep it off");
    stand.run_ms(9_999);
    assert_eq!(open(&stand).len(), 3);
    stand.run_ms(1);
    assert_eq!(open(&stand), ["spot", "bobs"]);
    let told = stand.pushed(socket, "order");
    assert_eq!(told.last().unwrap()["cancelType"], "CancelByDCP");
    assert_eq!(stand.lines("switch_fired").len(), 1);
}

#[test]
fn one_connection_that_lives_is_enough_and_a_lost_one_counts_from_its_last_ping() {
    let (mut stand, first) = armed(&["dcp.future"]);
    let second = stand.private("ann", &["dcp.future", "dcp.spot"]);
    stand.gateway.socket_closed(stand.now, first);
    stand.run_ms(6_000);
    stand.say(second, json!({ "op": "ping" }));
    stand.run_ms(6_000);
    assert_eq!(open(&stand).len(), 3);
    stand.gateway.socket_closed(stand.now, second);
    stand.run_ms(3_999);
    assert_eq!(open(&stand).len(), 3);
    let third = stand.private("ann", &["dcp.future"]);
    stand.run_ms(1);
    assert_eq!(open(&stand), ["linear", "bobs"], "nobody came back for spot");
    stand.gateway.socket_closed(stand.now, third);
    stand.run_ms(10_000);
    assert_eq!(open(&stand), ["bobs"]);
}

#[test]
fn without_a_subscription_nothing_ever_fires() {
    let (mut stand, _) = armed(&["order"]);
    stand.run_ms(500_000);
    assert_eq!(open(&stand).len(), 3);
}

#[test]
fn an_account_that_may_use_it_has_the_usual_windows_before_anyone_sets_them() {
    let mut stand = Stand::new(still());
    let infos = stand.get("ann", "/v5/account/query-dcp-info", "");
    let window = |product: &str| json!({ "product": product, "dcpStatus": "ON", "timeWindow": "10" });
    assert_eq!(infos["result"]["dcpInfos"], json!([window("SPOT"), window("DERIVATIVES")]));
    let socket = stand.private("ann", &["dcp.future"]);
    stand.create("linear", "linear", "Buy", "60000");
    stand.gateway.socket_closed(stand.now, socket);
    stand.run_ms(9_900);
    assert_eq!(open(&stand), ["linear"]);
    stand.run_ms(200);
    assert!(open(&stand).is_empty());
}

#[test]
fn whoever_was_not_given_it_is_told_so() {
    let mut stand = Stand::new(still());
    let set = json!({ "product": "DERIVATIVES", "timeWindow": 10 });
    assert_eq!(code(&stand.post("bob", "/v5/order/disconnected-cancel-all", set)), 10_005);
    let infos = stand.get("bob", "/v5/account/query-dcp-info", "");
    assert_eq!(infos["result"]["dcpInfos"], json!([]));
    let socket = stand.private("bob", &["dcp.future"]);
    let refused = stand.texts(socket).pop().unwrap();
    assert_eq!(refused["success"], false);
    assert_eq!(refused["ret_msg"], "error:handler not found,topic:dcp.future");
    for window in [2, 301] {
        let set = json!({ "product": "DERIVATIVES", "timeWindow": window });
        assert_eq!(code(&stand.post("ann", "/v5/order/disconnected-cancel-all", set)), 10_001);
    }
}

#[test]
fn its_windows_survive_a_restart_and_its_subscription_does_not() {
    let (mut stand, _) = armed(&["dcp.future"]);
    let restored = Gateway::restore(still(), &stand.file()).unwrap();
    stand.gateway = restored.gateway;
    let infos = stand.get("ann", "/v5/account/query-dcp-info", "");
    let window = |product: &str| json!({ "product": product, "dcpStatus": "ON", "timeWindow": "10" });
    assert_eq!(infos["result"]["dcpInfos"], json!([window("SPOT"), window("DERIVATIVES")]));
    stand.run_ms(60_000);
    assert_eq!(open(&stand).len(), 3);
    let lines = stand.gateway.checkpoint_lines().join("\n");
    assert_eq!(lines.matches("\"kind\":\"switch\"").count(), 2);
}
