//! What each number and each length of time may be, and what is said of one that is outside.
//!
//! Upper bounds are where something breaks, not where it is unwise: memory that no machine has, a number
//! that a library does not take, a time that no clock reaches.

use super::{Config, Span};
use std::ops::RangeInclusive;
use std::time::Duration;
use tapecast_fanout::interest::SHARDS_MAX;

/// The first value that is outside of its bounds.
pub(super) fn outside(config: &Config) -> Option<String> {
    let numbers = numbers(config).into_iter();
    let numbers = numbers.filter_map(|(key, given, bounds)| number(key, given, &bounds));
    let times = times(config).into_iter();
    let times = times.filter_map(|(key, given, bounds)| time(key, given?, &bounds));
    numbers.chain(times).next()
}

type Numbers = [(&'static str, usize, RangeInclusive<usize>); 20];
type Times = [(&'static str, Option<Span>, RangeInclusive<Duration>); 11];

fn numbers(config: &Config) -> Numbers {
    let limits = &config.limits;
    let wide = |number: u32| number as usize;
    [
        ("shards.count", config.shards.count, 0..=SHARDS_MAX),
        (
            "shards.ring_items",
            config.shards.ring_items,
            1_024..=RING_ITEMS_MAX,
        ),
        ("limits.connections_max", limits.connections_max, SOME),
        (
            "limits.connections_per_address_max",
            limits.connections_per_address_max,
            SOME,
        ),
        (
            "limits.handshakes_max",
            limits.handshakes_max,
            1..=HANDSHAKES_MAX,
        ),
        (
            "limits.handshakes_per_address_max",
            limits.handshakes_per_address_max,
            SOME,
        ),
        (
            "limits.http_connections_max",
            limits.http_connections_max,
            SOME,
        ),
        (
            "limits.http_connections_per_address_max",
            limits.http_connections_per_address_max,
            SOME,
        ),
        ("limits.http_requests_max", limits.http_requests_max, SOME),
        (
            "limits.http_requests_per_address_per_s",
            wide(limits.http_requests_per_address_per_s),
            SOME,
        ),
        (
            "limits.topics_per_connection_max",
            limits.topics_per_connection_max,
            SOME,
        ),
        ("limits.topics_max", limits.topics_max, 1..=TOPICS_MAX),
        (
            "limits.instruments_max",
            limits.instruments_max,
            1..=TOPICS_MAX,
        ),
        (
            "limits.invented_topics_per_connection_max",
            wide(limits.invented_topics_per_connection_max),
            SOME,
        ),
        ("limits.requests_per_s", wide(limits.requests_per_s), SOME),
        ("limits.messages_per_s", wide(limits.messages_per_s), SOME),
        (
            "limits.request_bytes_max",
            limits.request_bytes_max,
            256..=REQUEST_BYTES_MAX,
        ),
        // Or a snapshot does not fit.
        (
            "limits.outbox_bytes_max",
            limits.outbox_bytes_max,
            65_536..=BYTES_MAX,
        ),
        (
            "limits.parked_bytes_max",
            limits.parked_bytes_max,
            65_536..=BYTES_MAX,
        ),
        ("pipeline.events", config.pipeline.events, SOME),
    ]
}

fn times(config: &Config) -> Times {
    let limits = &config.limits;
    let hour = Duration::from_hours(1);
    let day = Duration::from_hours(24);
    [
        // To have fewer frames than that, topics have intervals.
        (
            "shards.flush_interval",
            config.shards.flush_interval,
            Duration::from_micros(1)..=Duration::from_millis(100),
        ),
        (
            "limits.handshake_timeout",
            Some(limits.handshake_timeout),
            MILLI..=hour,
        ),
        (
            "limits.http_answer_timeout",
            Some(limits.http_answer_timeout),
            MILLI..=hour,
        ),
        (
            "limits.http_idle_timeout",
            Some(limits.http_idle_timeout),
            MILLI..=hour,
        ),
        (
            "limits.topic_linger",
            Some(limits.topic_linger),
            MILLI..=hour,
        ),
        (
            "limits.stall_timeout",
            Some(limits.stall_timeout),
            MILLI..=day,
        ),
        ("limits.heartbeat", Some(limits.heartbeat), MILLI..=hour),
        ("limits.ping", Some(limits.ping), MILLI..=day),
        (
            "limits.idle_timeout",
            Some(limits.idle_timeout),
            MILLI..=day,
        ),
        // The end of the process waits for it.
        (
            "limits.close_timeout",
            Some(limits.close_timeout),
            MILLI..=Duration::from_mins(1),
        ),
        (
            "pipeline.stale_after",
            config.pipeline.stale_after,
            STALE_AFTER,
        ),
    ]
}

/// What is said of a number outside of its bounds.
pub(super) fn number(key: &str, given: usize, bounds: &RangeInclusive<usize>) -> Option<String> {
    if bounds.contains(&given) {
        return None;
    }
    let (least, most) = (bounds.start(), bounds.end());
    Some(match *most {
        usize::MAX => format!("{key}: {given} is not allowed; write {least} or more"),
        most => format!("{key}: {given} is not allowed; write {least} to {most}"),
    })
}

/// What is said of a length of time outside of its bounds.
pub(super) fn time(key: &str, given: Span, bounds: &RangeInclusive<Duration>) -> Option<String> {
    let (least, most, given) = (bounds.start(), bounds.end(), given.0);
    let outside = !bounds.contains(&given);
    outside.then(|| format!("{key}: {given:?} is not allowed; write \"{least:?}\" to \"{most:?}\""))
}

/// A `stale_after` of a source outside of its bounds.
pub(super) fn late(stale_after: Option<Span>) -> Option<String> {
    time("stale_after", stale_after?, &STALE_AFTER)
}

const MILLI: Duration = Duration::from_millis(1);
/// As much as may be, and not nothing.
const SOME: RangeInclusive<usize> = 1..=usize::MAX;
/// Some gigabytes for each shard.
const RING_ITEMS_MAX: usize = 1 << 24;
/// The semaphore that counts them takes no more than some millions of millions; this is plenty.
const HANDSHAKES_MAX: usize = 1_000_000;
/// So many topics, and as many instruments, have numbers of 32 bits to spare.
const TOPICS_MAX: usize = 100_000_000;
/// Of a request, which is kept whole for each connection.
const REQUEST_BYTES_MAX: usize = 16 << 20;
/// More than any machine has.
const BYTES_MAX: usize = 1 << 46;
/// How long a channel may be silent.
pub(super) const STALE_AFTER: RangeInclusive<Duration> = MILLI..=Duration::from_hours(24 * 365);
