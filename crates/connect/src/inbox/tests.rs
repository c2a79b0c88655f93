//! The queues alone, without sockets: what is dropped, what stays, and in which order it comes.

use super::*;
use crate::failure::{Failure, FailureKind};

/// The limits of these tests.
const QUEUE_BYTES: usize = 10 * (36 + MESSAGE_COST);
const QUEUE_AGE: Duration = Duration::from_secs(5);

/// An inbox, and the time of its messages.
struct Rig {
    inbox: Arc<Inbox>,
    seconds: u64,
}

impl Rig {
    fn new() -> Self {
        Self {
            inbox: Arc::new(Inbox::new(QUEUE_BYTES, QUEUE_AGE)),
            seconds: 0,
        }
    }

    fn begin(&self, line: u32) -> u64 {
        self.inbox.begin(line, Arc::default()).unwrap()
    }

    fn message(&self, line: u32, generation: u64, bytes: usize) {
        let moment = Moment {
            mono: Mono::new(self.seconds * 1_000_000_000),
            wall: tapecast_model::UnixNanos::new(0),
        };
        let frame = Frame::Text(vec![b'x'; bytes]);
        self.inbox.message(line, generation, frame, moment);
    }

    fn closed(&self, line: u32, generation: u64, code: u16) {
        let report = Report::Closed {
            line,
            code: Some(code),
            reason: String::new(),
        };
        self.inbox.report(line, generation, report);
    }

    /// All that waits, in short: `1:m10` is a message of ten bytes on line 1.
    fn take(&self) -> Vec<String> {
        let next = || self.inbox.take(Duration::ZERO);
        std::iter::from_fn(next)
            .map(|report| short(&report))
            .collect()
    }
}

fn short(report: &Report) -> String {
    match report {
        Report::Connected { line } => format!("{line}:connected"),
        Report::Closed { line, code, .. } => format!("{line}:closed {}", code.unwrap_or(0)),
        Report::Failed { line, .. } => format!("{line}:failed"),
        Report::Message { line, frame, .. } => format!("{line}:m{}", frame.payload().len()),
        Report::Overflow {
            line,
            messages,
            bytes,
        } => format!("{line}:lost {messages}/{bytes}"),
        Report::Http { id, .. } => format!("answer {id}"),
        Report::HttpFailed { id, .. } => format!("no answer {id}"),
    }
}

#[test]
fn a_full_queue_is_emptied_and_that_is_said_once_in_its_place() {
    let rig = Rig::new();
    let one = rig.begin(1);
    rig.inbox.report(1, one, Report::Connected { line: 1 });
    for _ in 0..9 {
        rig.message(1, one, 36);
    }
    assert_eq!(Reports::new(Arc::clone(&rig.inbox)).queued(1), (9, 324));
    // Ten are the limit, and not above it.
    rig.message(1, one, 36);
    rig.message(1, one, 7);
    assert_eq!(Reports::new(Arc::clone(&rig.inbox)).queued(1), (1, 7));
    for _ in 0..100 {
        rig.message(1, one, 36);
    }
    rig.closed(1, one, 1_001);
    let taken = rig.take();
    let kept = taken.iter().filter(|report| *report == "1:m36").count();
    let lost = 10 * 36 + 7 + (100 - kept) * 36;
    let expected = [
        "1:connected".to_owned(),
        format!("1:lost {}/{lost}", 111 - kept),
    ];
    assert_eq!(taken[..2], expected);
    assert_eq!(taken.last().unwrap(), "1:closed 1001");
    assert_eq!(taken.len(), kept + 3);
}

#[test]
fn a_queue_whose_oldest_message_is_too_old_is_emptied_when_another_comes() {
    let mut rig = Rig::new();
    let one = rig.begin(1);
    rig.message(1, one, 1);
    rig.seconds = 5;
    rig.message(1, one, 2);
    rig.seconds = 6;
    rig.message(1, one, 3);
    assert_eq!(rig.take(), ["1:lost 2/3", "1:m3"]);
}

#[test]
fn a_message_above_the_limit_of_the_queue_is_lost_and_said() {
    let rig = Rig::new();
    let one = rig.begin(1);
    rig.message(1, one, 10);
    rig.message(1, one, QUEUE_BYTES);
    rig.message(1, one, 11);
    assert_eq!(
        rig.take(),
        [format!("1:lost 2/{}", QUEUE_BYTES + 10), "1:m11".to_owned()]
    );
}

#[test]
fn messages_stay_with_their_connection_when_queues_overflow() {
    let rig = Rig::new();
    let one = rig.begin(1);
    rig.message(1, one, 500);
    rig.closed(1, one, 1_000);
    let two = rig.begin(1);
    rig.inbox.report(1, two, Report::Connected { line: 1 });
    rig.message(1, two, 501);
    rig.message(1, two, 502);
    rig.message(1, one, 77);
    assert_eq!(
        rig.take(),
        [
            "1:lost 1/500",
            "1:closed 1000",
            "1:connected",
            "1:lost 1/501",
            "1:m502"
        ]
    );
}

#[test]
fn nothing_of_a_line_that_was_told_to_close_is_reported_except_its_end() {
    let rig = Rig::new();
    let (one, two) = (rig.begin(1), rig.begin(2));
    rig.message(1, one, 1);
    rig.message(2, two, 2);
    rig.inbox.close(1);
    rig.message(1, one, 3);
    rig.inbox.report(1, one, Report::Connected { line: 1 });
    assert!(rig.inbox.outbox(1).is_none());
    rig.closed(1, one, 1_000);
    rig.closed(1, one, 1_006);
    assert_eq!(rig.take(), ["2:m2", "1:closed 1000"]);
    // Told to close when it has ended already.
    rig.message(2, two, 4);
    rig.closed(2, two, 1_001);
    rig.inbox.close(2);
    rig.inbox.close(3);
    assert_eq!(rig.take(), ["2:closed 1001"]);
    assert!(rig.inbox.lock().lines.is_empty());
    assert!(rig.inbox.lock().turn.is_empty());
}

#[test]
fn a_line_that_fails_while_it_closes_is_closed() {
    let rig = Rig::new();
    let one = rig.begin(1);
    rig.inbox.close(1);
    let failure = Failure::new(FailureKind::Io, "no");
    rig.inbox
        .report(1, one, Report::Failed { line: 1, failure });
    assert_eq!(rig.take(), ["1:closed 0"]);
}

#[test]
fn a_number_can_be_used_again_while_its_last_connection_closes() {
    let rig = Rig::new();
    let one = rig.begin(1);
    assert_eq!(rig.inbox.begin(1, Arc::default()), None);
    rig.inbox.close(1);
    let two = rig.begin(1);
    rig.inbox.report(1, two, Report::Connected { line: 1 });
    rig.closed(1, one, 1_000);
    rig.message(1, two, 8);
    assert_eq!(rig.take(), ["1:closed 0", "1:connected", "1:m8"]);
}

#[test]
fn lines_and_answers_come_in_turn() {
    let rig = Rig {
        inbox: Arc::new(Inbox::new(1 << 30, QUEUE_AGE)),
        seconds: 0,
    };
    let (one, two, three) = (rig.begin(1), rig.begin(2), rig.begin(3));
    for _ in 0..1_000 {
        rig.message(1, one, 1);
    }
    for _ in 0..10 {
        rig.message(2, two, BYTES_IN_TURN);
    }
    rig.message(3, three, 3);
    let failure = Failure::new(FailureKind::Io, "no");
    rig.inbox.answer(Report::HttpFailed { id: 9, failure });
    let taken = rig.take();
    let place = |wanted: &str| taken.iter().position(|report| report == wanted).unwrap();
    let large = format!("2:m{BYTES_IN_TURN}");
    assert_eq!(place(&large), 64);
    assert_eq!(place("3:m3"), 65);
    assert_eq!(place("no answer 9"), 66);
    assert_eq!(taken[67], "1:m1");
    assert_eq!(taken.len(), 1_012);
    // After its own turn, the second line waits for one of the first.
    assert_eq!(
        taken.iter().rposition(|report| *report == large),
        Some(67 + 9 * 65 - 1)
    );
}

#[test]
fn the_room_for_a_rush_is_not_kept() {
    let rig = Rig {
        inbox: Arc::new(Inbox::new(1 << 30, QUEUE_AGE)),
        seconds: 0,
    };
    let one = rig.begin(1);
    for _ in 0..100_000 {
        rig.message(1, one, 0);
    }
    assert_eq!(rig.take().len(), 100_000);
    assert!(rig.inbox.lock().lines[&1].waiting.capacity() <= ROOM_KEPT);
}

#[test]
fn a_waker_ends_the_wait_before_anything_else() {
    let rig = Rig::new();
    let reports = Reports::new(Arc::clone(&rig.inbox));
    let one = rig.begin(1);
    rig.message(1, one, 1);
    let wake = reports.waker();
    wake();
    wake.clone()();
    let day = Duration::MAX;
    assert_eq!(reports.recv_timeout(day), None);
    assert!(reports.recv_timeout(day).is_some());
    let waiting = std::thread::spawn(move || {
        let first = reports.recv_timeout(day);
        (first, reports.recv_timeout(day), reports.has_ended())
    });
    wake();
    rig.inbox.end();
    assert_eq!(waiting.join().unwrap(), (None, None, true));
}
