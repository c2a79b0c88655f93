//! Tasks that panic: who is disconnected, what is told, and that the others continue.

use super::*;

#[tokio::test]
async fn a_publisher_whose_task_panics_is_disconnected_and_told_of_and_the_others_go_on() {
    let faults = PushFaults {
        publisher: Fault::armable(),
        ..PushFaults::default()
    };
    let bench = Bench::with_faults(any(), 100, faults.clone()).await;
    let line = |symbol: &str| {
        format!(
            "{{\"channel\":\"quote\",\"symbol\":\"{symbol}\",\"bid\":\"1\",\"bid_qty\":\"1\"}}\n"
        )
    };
    let mut broken = TcpStream::connect(bench.at).await.unwrap();
    broken.write_all(line("A-USD").as_bytes()).await.unwrap();
    while bench.rx.is_empty() {
        tokio::task::yield_now().await;
    }
    let quoted = bench.rx.try_recv().unwrap();
    faults.publisher.arm();
    broken.write_all(line("A-USD").as_bytes()).await.unwrap();
    assert_eq!(
        broken.read(&mut [0; 16]).await.ok().unwrap_or(0),
        0,
        "the publisher is disconnected"
    );
    let mut batches: Vec<EventBatch> = Vec::new();
    while batches.len() < 2 {
        batches.extend(bench.rx.try_iter());
        tokio::task::yield_now().await;
    }
    let told: Vec<_> = batches.iter().flat_map(|batch| &batch.events).collect();
    assert_eq!((batches.len(), told.len()), (2, 2), "{told:?}");
    assert!(batches.iter().all(|batch| batch.line == quoted.line));
    let ended = |event: &Event| matches!(event.body, EventBody::Feed(FeedEvent::Ended(_)));
    assert!(ended(told[1]), "{told:?}");
    assert_eq!(told[0].instrument, quoted.events[0].instrument);
    let EventBody::Feed(FeedEvent::Lost { channels, .. }) = &told[0].body else {
        panic!("{told:?}");
    };
    assert!(channels.contains(ChannelKind::Book) && channels.contains(ChannelKind::Trade));
    assert_eq!(bench.counters.publishers_failed.get(), 1);
    assert!(bench.rx.is_empty());
    let (answers, events) = bench.publish(&line("B-USD")).await;
    assert_eq!((answers.len(), events.len()), (0, 1));
}

#[tokio::test]
async fn a_server_that_failed_can_run_again_on_its_address() {
    let faults = PushFaults {
        acceptor: Fault::armable(),
        ..PushFaults::default()
    };
    let mut bench = Bench::with_faults(any(), 100, faults.clone()).await;
    let (_, events) = bench.publish(QUOTE).await;
    assert_eq!(events.len(), 1);
    faults.acceptor.arm();
    let mut waiting = TcpStream::connect(bench.at).await.unwrap();
    let server = std::mem::replace(&mut bench.server, tokio::spawn(async {}));
    assert!(server.await.unwrap_err().is_panic());
    assert_eq!(waiting.read(&mut [0; 16]).await.ok().unwrap_or(0), 0);
    bench.run();
    let (answers, events) = bench.publish(QUOTE).await;
    assert_eq!((answers.len(), events.len()), (0, 1));
}
