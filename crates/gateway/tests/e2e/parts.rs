//! A panic in each thread and task: served on, or ended with an error; never half dead and ready.

use crate::support::{PATIENCE, connect, http, next_json, recording, replay, start_replays};
use std::net::SocketAddr;
use tapecast::config::Config;
use tapecast::faults::Faults;
use tapecast::gateway::Gateway;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn gateway(text: &str) -> (Gateway, Faults) {
    let mut config = Config::parse(text, "test", std::iter::empty()).unwrap();
    config.listen.public = SocketAddr::from(([127, 0, 0, 1], 0));
    config.listen.admin = SocketAddr::from(([127, 0, 0, 1], 0));
    let faults = Faults::armable();
    (Gateway::start_with(&config, &faults).await.unwrap(), faults)
}

async fn ready(gateway: &Gateway) -> String {
    http(gateway.admin_address(), "GET /readyz").await
}

/// Waits until a part was started again, and the process is ready.
async fn healed(gateway: &Gateway, part: &str) {
    let wanted = format!("tapecast_restarts_total{{part=\"{part}\"}} 1");
    let healed = tokio::time::timeout(PATIENCE, async {
        while !(http(gateway.admin_address(), "GET /metrics")
            .await
            .contains(&wanted)
            && ready(gateway).await.starts_with("HTTP/1.1 200"))
        {
            tokio::task::yield_now().await;
        }
    });
    healed
        .await
        .unwrap_or_else(|_| panic!("{part} was not started again"));
}

const SIM: &str = "[shards]\ncount = 2\n[[source]]\nkind = \"sim\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_what_cannot_be_started_again_ends_the_process() {
    for part in ["pipeline", "shard-0", "shard-1"] {
        let (gateway, faults) = gateway(SIM).await;
        assert!(ready(&gateway).await.starts_with("HTTP/1.1 200"));
        faults.of(part).arm();
        let why = tokio::time::timeout(PATIENCE, gateway.failed())
            .await
            .unwrap();
        assert_eq!(why, format!("{part}: it panicked"));
        let answer = ready(&gateway).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{part}: {answer}");
        assert!(
            answer.contains(&format!("{part} is down: it panicked")),
            "{answer}"
        );
        tokio::time::timeout(PATIENCE, gateway.stop())
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_an_acceptor_is_healed_and_who_knocks_meanwhile_waits() {
    let (gateway, faults) = gateway(SIM).await;
    let mut client = connect(&gateway).await;
    for part in ["public_acceptor", "admin_acceptor"] {
        faults.of(part).arm();
        healed(&gateway, part).await;
        let mut other = connect(&gateway).await;
        other.subscribe(&["quote:sim:BTC-USD"]).await.unwrap();
        assert_eq!(next_json(&mut other).await["op"], "subscribed");
    }
    client.subscribe(&["trade:sim:BTC-USD"]).await.unwrap();
    assert_eq!(next_json(&mut client).await["op"], "subscribed");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_while_a_list_is_made_costs_its_request_only_time() {
    let (gateway, faults) = gateway(SIM).await;
    faults.of("lists").arm();
    let answer = http(gateway.public_address(), "GET /v1/topics").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("trade:sim:BTC-USD"), "{answer}");
    assert!(!faults.of("lists").is_armed());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_renewal_of_the_state_is_healed_and_the_next_life_is_promised_more() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("state_dir = {:?}\n{SIM}", folder.path().join("state"));
    let (gateway, faults) = gateway(&text).await;
    faults.of("state_dir").arm();
    healed(&gateway, "state_dir").await;
    // It writes on: what was promised is promised again, for later.
    let file = folder.path().join("state/epochs/state");
    std::fs::remove_file(&file).unwrap();
    let written = tokio::time::timeout(PATIENCE, async {
        while !file.exists() {
            tokio::task::yield_now().await;
        }
    });
    written.await.expect("the renewal goes on");
    assert!(ready(&gateway).await.starts_with("HTTP/1.1 200"));
    gateway.stop().await;
}

/// Reads a status topic until the feed is as wanted; the epochs seen on the way.
async fn status(client: &mut tapecast_client::Client, wanted: &str) -> (u64, String) {
    loop {
        let json = next_json(client).await;
        if json["feed"] == wanted {
            return (json["epoch"].as_u64().unwrap(), json["reason"].to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_market_that_panics_is_down_and_comes_back_in_a_new_epoch() {
    let (gateway, faults) = gateway(SIM).await;
    let mut client = connect(&gateway).await;
    client.subscribe(&["status:sim:BTC-USD"]).await.unwrap();
    let (before, _) = status(&mut client, "live").await;
    faults.of("sim").arm();
    let (_, reason) = status(&mut client, "down").await;
    assert!(reason.contains("failed"), "{reason}");
    let (after, _) = status(&mut client, "live").await;
    assert!(after > before, "{after} after {before}");
    healed(&gateway, "sim").await;
    let sources = http(gateway.admin_address(), "GET /debug/sources").await;
    let body = sources.split("\r\n\r\n").nth(1).unwrap();
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&json[0]["kind"], &json[0]["state"], &json[0]["restarts"]),
        (&"sim".into(), &"up".into(), &1.into()),
        "{body}"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_panics_plays_again_from_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let trade = |id: u64| {
        format!(r#"{{"e":"trade","E":1,"s":"BTCUSDT","t":{id},"p":"1.5","q":"1","T":1}}"#)
    };
    let path = recording(folder.path(), "r.zst", &[trade(1), trade(2)]);
    let (gateway, faults) = gateway(&replay("binance", &path)).await;
    let waiting = http(gateway.admin_address(), "GET /debug/sources").await;
    assert!(waiting.contains("\"waiting\""), "{waiting}");
    assert!(
        ready(&gateway).await.starts_with("HTTP/1.1 200"),
        "it waits as it was told to"
    );
    let mut client = connect(&gateway).await;
    client.subscribe(&["trade:binance:BTC-USDT"]).await.unwrap();
    assert_eq!(next_json(&mut client).await["op"], "subscribed");
    faults.of("replay").arm();
    start_replays(&gateway).await;
    let mut ids = Vec::new();
    while ids.last().is_none_or(|id| id != "2") {
        let json = next_json(&mut client).await;
        let trades = json["trades"].as_array().cloned().unwrap_or_default();
        ids.extend(trades.iter().map(|t| t["id"].as_str().unwrap().to_owned()));
    }
    healed(&gateway, "replay").await;
    let ended = http(gateway.admin_address(), "GET /debug/sources").await;
    assert!(
        ended.contains("\"ended\"") && ended.contains("end of recording"),
        "{ended}"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_source_that_panics_keeps_its_address_and_its_publishers_come_back() {
    let push = crate::support::free_address();
    let text = format!("[[source]]\nkind = \"push\"\nvenue = \"desk\"\nlisten = \"{push}\"\n");
    let (gateway, faults) = gateway(&text).await;
    let quote = b"{\"channel\":\"quote\",\"symbol\":\"A-USD\",\"bid\":\"1\",\"bid_qty\":\"1\"}\n";
    let mut client = connect(&gateway).await;
    client
        .subscribe(&["status:desk:A-USD", "quote:desk:A-USD"])
        .await
        .unwrap();
    let mut publisher = TcpStream::connect(push).await.unwrap();
    publisher.write_all(quote).await.unwrap();
    let (before, _) = status(&mut client, "live").await;
    // The acceptor looks when somebody knocks.
    faults.of("push").arm();
    let mut knocking = TcpStream::connect(push).await.unwrap();
    let (_, reason) = status(&mut client, "down").await;
    assert!(reason.contains("failed"), "{reason}");
    assert_eq!(
        publisher.read(&mut [0; 16]).await.unwrap_or(0),
        0,
        "the publisher is disconnected"
    );
    let _ = knocking.read(&mut [0; 16]).await;
    let mut publisher = TcpStream::connect(push).await.unwrap();
    publisher.write_all(quote).await.unwrap();
    let (after, _) = status(&mut client, "live").await;
    assert!(after > before, "{after} after {before}");
    healed(&gateway, "push").await;
    // A publisher's own task: the others go on.
    faults.of("publisher").arm();
    publisher.write_all(quote).await.unwrap();
    assert_eq!(publisher.read(&mut [0; 16]).await.unwrap_or(0), 0);
    let mut publisher = TcpStream::connect(push).await.unwrap();
    publisher.write_all(b"{\n").await.unwrap();
    assert!(publisher.read(&mut [0; 16]).await.unwrap() > 0);
    assert!(ready(&gateway).await.starts_with("HTTP/1.1 200"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_is_not_ready_while_a_required_source_is_down_and_is_without_one_that_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let trade = r#"{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1.5","q":"1","T":1}"#.to_owned();
    for required in [true, false] {
        let path = recording(folder.path(), "r.zst", std::slice::from_ref(&trade));
        let text = format!("{}required = {required}\n", replay("binance", &path));
        let (gateway, _) = gateway(&text).await;
        std::fs::remove_file(&path).unwrap();
        start_replays(&gateway).await;
        let down = tokio::time::timeout(PATIENCE, async {
            loop {
                let report = http(gateway.admin_address(), "GET /debug/sources").await;
                if report.contains("\"down\"") {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        down.await.unwrap();
        let gauge = "tapecast_source_up{kind=\"replay\",source=\"1\",venue=\"binance\"}";
        let metrics = http(gateway.admin_address(), "GET /metrics").await;
        assert!(metrics.contains(gauge), "{metrics}");
        if required {
            // It may be starting again at this very moment: asked until it says why.
            let told = tokio::time::timeout(PATIENCE, async {
                loop {
                    let answer = ready(&gateway).await;
                    if answer.starts_with("HTTP/1.1 503") {
                        return answer;
                    }
                }
            });
            let told = told.await.unwrap();
            assert!(
                told.contains("source 1 (replay) is down: ") && told.contains("r.zst"),
                "{told}"
            );
        } else {
            assert!(ready(&gateway).await.starts_with("HTTP/1.1 200"));
        }
        gateway.stop().await;
    }
}
