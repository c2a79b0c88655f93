//! `GET /debug/connections`: open connections, slow connections, and how the last thousand connections
//! ended.
//!
//! Each shard gets a command and answers in slices between its turns; no lock is used that data need. A
//! shard that is too busy says so, and the answer is 503 with `Retry-After`.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use tapecast_edge::io::http::query::pairs;
use tapecast_edge::io::http::{Answer, plain};
use tapecast_edge::io::poller::ShardHandle;
use tapecast_edge::shard::inspect::{ENDED_MAX, Ended, Query, Seen, Sight};
use tokio::sync::oneshot;

/// Asks the shards.
pub struct Connections {
    shards: Vec<ShardHandle>,
}

/// Connections of one page, if nothing is said.
const LIMIT: usize = 100;
/// At most.
const LIMIT_MAX: usize = 1_000;
/// Shards answer within this time, or are stuck.
const PATIENCE: Duration = Duration::from_secs(5);
const KEYS: &str = "address, id, queued_bytes_min, lag_ms_min, slow, after, limit";

impl Connections {
    /// Of these shards.
    pub fn new(shards: Vec<ShardHandle>) -> Self {
        Self { shards }
    }

    /// Answers a request with this query.
    ///
    /// # Cancellation
    /// Safe: what the shards say later is dropped.
    pub async fn answer(&self, query: &str) -> Answer {
        let query = match read(query) {
            Ok(query) => query,
            Err(wrong) => return plain(StatusCode::BAD_REQUEST, &wrong),
        };
        let asked: Vec<_> = self.shards.iter().map(|shard| ask(shard, &query)).collect();
        let mut all = Sight::default();
        for answer in asked {
            let Ok(Ok(sight)) = tokio::time::timeout(PATIENCE, answer).await else {
                let mut answer = plain(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "a shard is too busy to answer; ask again",
                );
                let again = HeaderValue::from_static("1");
                answer.headers_mut().insert(RETRY_AFTER, again);
                return answer;
            };
            all.connections.extend(sight.connections);
            all.ended.extend(sight.ended);
        }
        let mut answer = Response::new(Full::new(Bytes::from(write(all, query.limit))));
        let kind = HeaderValue::from_static("application/json");
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        answer
    }
}

fn ask(shard: &ShardHandle, query: &Query) -> oneshot::Receiver<Sight> {
    let (sender, receiver) = oneshot::channel();
    let answer = Box::new(move |sight| {
        // Fails only if nobody waits any more.
        let _ = sender.send(sight);
    });
    shard.inspect(query.clone(), answer);
    receiver
}

fn read(text: &str) -> Result<Query, String> {
    let mut query = Query {
        limit: LIMIT,
        ..Query::default()
    };
    for (key, value) in pairs(text)? {
        let (key, value) = (key.as_str(), value.as_str());
        let wrong = |what: &str| format!("{key}={value}: {what}");
        let id = || {
            u64::from_str_radix(value, 16)
                .ok()
                .ok_or_else(|| wrong("an id as in `welcome`"))
        };
        match key {
            "after" => query.after = Some(id()?),
            "id" => query.id = Some(id()?),
            "address" => {
                query.address = Some(
                    value
                        .parse()
                        .ok()
                        .ok_or_else(|| wrong("an address without a port"))?,
                );
            }
            "queued_bytes_min" => {
                query.queued_bytes_min = value
                    .parse()
                    .ok()
                    .ok_or_else(|| wrong("a number of bytes"))?;
            }
            "lag_ms_min" => {
                let ms = value
                    .parse()
                    .ok()
                    .ok_or_else(|| wrong("a number of milliseconds"))?;
                query.lag_min = Duration::from_millis(ms);
            }
            "slow" => query.slow = Some(value.parse().ok().ok_or_else(|| wrong("true or false"))?),
            "limit" => {
                let limit = value.parse().ok().filter(|l| (1..=LIMIT_MAX).contains(l));
                query.limit = limit.ok_or_else(|| wrong("1 to 1000"))?;
            }
            _ => return Err(format!("unknown key {key:?}; the keys are {KEYS}")),
        }
    }
    Ok(query)
}

/// The page, in order of ids, and those that have ended, the last first.
fn write(mut all: Sight, limit: usize) -> String {
    all.connections.sort_unstable_by_key(|seen| seen.id);
    // Each shard has sent the first of its own: what fits is the first of all.
    all.connections.truncate(limit);
    let full = all.connections.len() == limit;
    let next = all.connections.last().filter(|_| full).map(id);
    all.ended.sort_by_key(|ended| std::cmp::Reverse(ended.at));
    all.ended.truncate(ENDED_MAX);
    let connections: Vec<Value> = all.connections.iter().map(connection).collect();
    let ended: Vec<Value> = all.ended.iter().map(end).collect();
    json!({"connections": connections, "next": next, "ended": ended}).to_string()
}

fn connection(seen: &Seen) -> Value {
    json!({
        "id": id(seen),
        "address": seen.address.to_string(),
        "since": super::time(seen.since),
        "encoding": seen.encoding.label(),
        "topics": seen.topics,
        "queued_bytes": seen.queued_bytes,
        "lag_ms": seen.lag.as_millis() as u64,
        "slow": seen.slow,
    })
}

fn end(ended: &Ended) -> Value {
    let mut value = connection(&ended.seen);
    value["ended"] = super::time(ended.at).into();
    value["reason"] = ended.reason.label().into();
    value
}

fn id(seen: &Seen) -> String {
    format!("{:08x}", seen.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapecast_model::UnixNanos;
    use tapecast_wire::{CloseReason, Encoding};

    fn seen(id: u64) -> Seen {
        Seen {
            id,
            address: "10.0.0.7:4711".parse().unwrap(),
            since: UnixNanos::new(1_786_309_548_228_568_804),
            encoding: Encoding::Json,
            topics: 3,
            queued_bytes: 512,
            lag: Duration::from_millis(40),
            slow: true,
        }
    }

    #[test]
    fn a_page_holds_the_lowest_ids_of_all_shards_and_says_where_the_next_begins() {
        let all = Sight {
            connections: vec![seen(9), seen(0x10), seen(3)],
            ended: vec![Ended {
                seen: seen(7),
                at: UnixNanos::new(1_786_309_549_000_000_000),
                reason: CloseReason::SlowConsumer,
            }],
        };
        let page: Value = serde_json::from_str(&write(all, 2)).unwrap();
        assert_eq!(page["next"], "00000009");
        assert_eq!(
            page["connections"][0],
            json!({"id": "00000003", "address": "10.0.0.7:4711", "since": "2026-08-09T21:05:48.228568804Z",
                   "encoding": "json", "topics": 3, "queued_bytes": 512, "lag_ms": 40, "slow": true})
        );
        assert_eq!(page["ended"][0]["reason"], "slow_consumer");
        assert_eq!(page["ended"][0]["ended"], "2026-08-09T21:05:49Z");
    }

    #[test]
    fn a_query_is_read_or_refused_by_key() {
        let query = read("address=::1&id=7f3a91c2&slow=true&lag_ms_min=5&limit=7&after=a").unwrap();
        assert_eq!(query.address, Some("::1".parse().unwrap()));
        assert_eq!(
            (query.id, query.after, query.limit),
            (Some(0x7f3a_91c2), Some(10), 7)
        );
        assert_eq!(
            (query.slow, query.lag_min),
            (Some(true), Duration::from_millis(5))
        );
        for wrong in [
            "limit=0",
            "limit=1001",
            "slow=yes",
            "id=xyz",
            "address=a:1",
            "page=2",
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(wrong.split('=').next().unwrap()), "{error}");
        }
    }
}
