//! Who is connected, and who was, over real sockets.

use crate::support::{PATIENCE, Raw, gateway, http};
use serde_json::Value;
use tapecast::gateway::Gateway;

const SIM: &str = "[[source]]\nkind = \"sim\"\nsymbols = 5\n";

async fn list(gateway: &Gateway, query: &str) -> Value {
    let request = format!("GET /debug/connections{query}");
    let answer = http(gateway.admin_address(), &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_listed_by_the_name_that_welcome_gave_them_and_so_are_their_ends() {
    let gateway = gateway(SIM).await;
    let mut client = Raw::connect(gateway.public_address()).await;
    let (_, welcome) = client.frame().await.unwrap();
    let welcome: Value = serde_json::from_slice(&welcome).unwrap();
    let id = welcome["connection"].as_str().unwrap().to_owned();
    let all = list(&gateway, "").await;
    assert_eq!(all["connections"].as_array().unwrap().len(), 1);
    let one = list(&gateway, &format!("?id={id}&address=127.0.0.1")).await;
    assert_eq!(one["connections"][0]["id"], id.as_str());
    assert_eq!(one["connections"][0]["slow"], false);
    let none = list(&gateway, "?queued_bytes_min=1000000").await;
    assert_eq!(none["connections"], serde_json::json!([]));
    drop(client);
    let gone = tokio::time::timeout(PATIENCE, async {
        loop {
            let gone = list(&gateway, "").await;
            if gone["connections"] == serde_json::json!([]) {
                break gone;
            }
        }
    });
    let gone = gone.await.unwrap();
    assert_eq!(gone["ended"][0]["id"], id.as_str());
    let refused = http(gateway.admin_address(), "GET /debug/connections?limit=0").await;
    assert!(
        refused.contains("400") && refused.contains("limit"),
        "{refused}"
    );
    gateway.stop().await;
}
