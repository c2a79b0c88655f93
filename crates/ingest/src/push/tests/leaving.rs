//! Publishers that leave: which symbols are down then.

use super::*;

fn line(symbol: &str) -> String {
    format!(
        "{{\"channel\":\"trade\",\"symbol\":\"{symbol}\",\"trades\":[{{\"id\":1,\"price\":1,\"qty\":1}}]}}\n"
    )
}

impl Bench {
    /// Waits for so many events, and spells them: `A-USD`, or `A-USD down`.
    async fn hear(&self, count: usize) -> Vec<String> {
        let mut heard = Vec::new();
        while heard.len() < count {
            let event: Vec<_> = self.rx.try_iter().flatten().collect();
            heard.extend(event.iter().map(|event| self.spell(event)));
            tokio::task::yield_now().await;
        }
        assert_eq!(heard.len(), count, "{heard:?}");
        heard
    }

    fn spell(&self, event: &Event) -> String {
        let instrument = self.catalog.get(event.instrument).unwrap();
        match &event.body {
            EventBody::Feed(FeedEvent::Ended(reason)) => {
                assert_eq!(reason, "its publisher has disconnected");
                format!("{} down", instrument.symbol)
            }
            EventBody::Feed(other) => panic!("{other:?}"),
            _ => instrument.symbol.to_string(),
        }
    }

    async fn enter(&self, symbols: &[&str]) -> TcpStream {
        let mut stream = TcpStream::connect(self.at).await.unwrap();
        for symbol in symbols {
            stream.write_all(line(symbol).as_bytes()).await.unwrap();
        }
        assert_eq!(self.hear(symbols.len()).await, symbols);
        stream
    }
}

#[tokio::test]
async fn what_the_last_publisher_leaves_is_down_and_what_others_publish_is_not() {
    let bench = Bench::new(any(), 100).await;
    let one = bench.enter(&["A-USD", "B-USD"]).await;
    let other = bench.enter(&["B-USD", "B-USD", "C-USD"]).await;
    drop(one);
    assert_eq!(bench.hear(1).await, ["A-USD down"]);
    let again = bench.enter(&["A-USD"]).await;
    drop(other);
    assert_eq!(bench.hear(2).await, ["B-USD down", "C-USD down"]);
    drop(again);
    assert_eq!(bench.hear(1).await, ["A-USD down"]);
    // One that named nothing leaves nothing.
    drop(bench.enter(&[]).await);
    drop(bench.enter(&["D-USD"]).await);
    assert_eq!(bench.hear(1).await, ["D-USD down"]);
}

#[tokio::test]
async fn a_word_that_waits_for_room_is_not_said_of_what_is_published_again() {
    let (served, named) = (
        Served::default(),
        [InstrumentId::new(0), InstrumentId::new(1)],
    );
    named.iter().for_each(|id| served.enter(*id));
    let (tx, rx) = EventTx::alone(1);
    tx.try_send(Events::new()).unwrap();
    let leaving = served.leave(&named, &tx);
    let coming = async {
        // Both were left, and there was no room to say so.
        served.enter(named[1]);
        assert!(rx.recv().unwrap().events.is_empty());
    };
    tokio::join!(leaving, coming);
    let told: Vec<_> = rx
        .try_iter()
        .flatten()
        .map(|event| event.instrument)
        .collect();
    assert_eq!(told, [named[0]]);
}
