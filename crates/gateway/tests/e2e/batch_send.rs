//! Many clients of one topic: written to with one system call where the system allows it, or one by one.
//! They must not be able to tell.

use crate::support::{connect, free_address, gateway, metric, next, next_json};
use tapecast_client::MessageKind;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const CLIENTS: usize = 40;
const TRADES: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_of_one_topic_hear_the_same_however_they_are_written_to() {
    for io_uring in [true, false] {
        let push = free_address();
        let gateway = gateway(&format!(
            "[[source]]\nkind = \"push\"\nvenue = \"desk\"\nlisten = \"{push}\"\n\
             [shards]\ncount = 1\nio_uring = {io_uring}\n"
        ))
        .await;
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let mut client = connect(&gateway).await;
            client.subscribe(&["trade:desk:A"]).await.unwrap();
            let answer = next(&mut client).await;
            assert!(matches!(answer.kind(), MessageKind::Subscribed(_)));
            assert!(
                next(&mut client)
                    .await
                    .data()
                    .is_some_and(|f| f.is_snapshot())
            );
            clients.push(client);
        }
        let mut desk = TcpStream::connect(push).await.unwrap();
        // Some alone, and some in bursts that are too long for a batch_send.
        let mut id = 0;
        while id < TRADES {
            let burst = if id % 7 == 0 { 40.min(TRADES - id) } else { 1 };
            let lines: String = (id..id + burst)
                .map(|id| format!("{{\"channel\":\"trade\",\"symbol\":\"A\",\"trades\":[{{\"id\":\"{id}\",\"price\":\"1\",\"qty\":\"1\"}}]}}\n"))
                .collect();
            desk.write_all(lines.as_bytes()).await.unwrap();
            id += burst;
            // The first client hears each burst before the next is sent.
            for expected in id - burst..id {
                let frame = next_json(&mut clients[0]).await;
                assert_eq!(frame["trades"][0]["id"], expected.to_string());
            }
        }
        for client in &mut clients[1..] {
            for expected in 0..TRADES {
                let frame = next_json(client).await;
                assert_eq!(frame["trades"][0]["id"], expected.to_string());
                assert_eq!(frame["prev"], expected);
            }
        }
        for (name, expected) in [("conflated", 0), ("dropped", 0)] {
            let name = format!("tapecast_frames_{name}_total{{shard=\"0\"}}");
            assert_eq!(metric(&gateway, &name).await, Some(expected));
        }
        gateway.stop().await;
    }
}
