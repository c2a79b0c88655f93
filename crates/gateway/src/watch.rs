//! `tapecast watch`: a client in the terminal. Wrong usage, and topics that the gateway refuses, end with exit
//! code 2; without a connection, or when it ends, the exit code is 1.

mod table;

use crate::terminal::{FAILURE, RUNTIME_REMEDY, USAGE, complain, open_still};
use clap::Args;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;
use table::Table;
use tapecast_client::message::{ChannelHealth, Gap, Level};
use tapecast_client::{
    Body, Client, ClientError, ConnectError, ConnectOptions, DataFrame, Encoding, FrameType,
    Message, MessageKind, Outcome, Tracker,
};

/// Options of `tapecast watch`.
#[derive(Args, Debug)]
pub struct Watch {
    /// Such as ws://127.0.0.1:8080/v1/ws
    url: String,
    /// The topics, such as trade:binance:BTC-USDT book.10:kraken:BTC-USD
    #[arg(required = true)]
    topics: Vec<String>,
    /// End after this many updates. Snapshots do not count.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Print frames as JSON, as they were received; binary frames as the same JSON.
    #[arg(long, conflicts_with = "table")]
    json: bool,
    /// Show one line per topic and update it.
    #[arg(long)]
    table: bool,
    /// Ask for binary frames. The output is the same.
    #[arg(long)]
    binary: bool,
}

/// Why there is nothing more to watch, and the exit code.
struct Ended {
    message: String,
    code: u8,
}

/// Watches until told to end.
pub fn run(options: &Watch) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let watched = match runtime {
        Ok(runtime) => runtime.block_on(watch(options)),
        Err(error) => Err(failed(format!(
            "cannot start the runtime: {error}; {RUNTIME_REMEDY}"
        ))),
    };
    match watched {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ended { message, code }) => {
            complain(&message);
            ExitCode::from(code)
        }
    }
}

async fn watch(options: &Watch) -> Result<(), Ended> {
    let url = &options.url;
    let encoding = if options.binary {
        Encoding::Bin
    } else {
        Encoding::Json
    };
    let connect = ConnectOptions {
        encoding,
        ..ConnectOptions::default()
    };
    let gone = |error: ClientError| failed(lost(url, &error));
    let mut client = Client::connect(url, connect)
        .await
        .map_err(|error| not_connected(url, &error))?;
    client.subscribe(&options.topics).await.map_err(gone)?;
    let (mut tracker, mut table) = (Tracker::new(), options.table.then(Table::default));
    let mut updates = 0;
    while options.count.is_none_or(|count| updates < count) {
        let message = tokio::select! {
            message = client.next() => message.map_err(gone)?,
            _ = tokio::signal::ctrl_c() => break,
        };
        if let MessageKind::Subscribed(subscribed) = message.kind() {
            for refusal in &subscribed.rejected {
                complain(&format!(
                    "{}: {} ({})",
                    refusal.topic, refusal.message, refusal.error
                ));
            }
            if subscribed.topics.is_empty() {
                return Err(Ended {
                    message: "the gateway refused every topic; correct the topics".to_owned(),
                    code: USAGE,
                });
            }
        }
        let applies = tracker.handle(&message) == Outcome::Apply;
        let lost = tracker.take_lost();
        if !lost.is_empty() {
            client.resync(&lost).await.map_err(gone)?;
        }
        if let Some(frame) = message.data().filter(|_| applies) {
            updates += u64::from(frame.frame_type == FrameType::Update);
        }
        let written = print(options, table.as_mut(), &message, applies);
        if !open_still(written).map_err(failed)? {
            break;
        }
    }
    client.close(std::time::Duration::from_secs(1)).await;
    Ok(())
}

fn failed(message: String) -> Ended {
    Ended {
        message,
        code: FAILURE,
    }
}

/// Why there is no connection, and what to do about it.
fn not_connected(url: &str, error: &ConnectError) -> Ended {
    let write = "write ws://host:port/v1/ws with the host and port of listen.public";
    let message = match error {
        ConnectError::Url { .. } => {
            return Ended {
                message: error.to_string(),
                code: USAGE,
            };
        }
        ConnectError::Reach { source, .. } => {
            let remedy = match source.kind() {
                ErrorKind::ConnectionRefused => {
                    "nothing listens there: start the gateway, or correct the host and the port"
                }
                _ => {
                    "check that the host and the port are right, and that the network reaches them"
                }
            };
            format!("{url}: {error}: {source}; {remedy}")
        }
        ConnectError::Refused { status, body } => refused(url, *status, body),
        ConnectError::Timeout { .. } => format!("{error} {write}"),
        ConnectError::Ended(why) => {
            format!("{url}: the connection ended before the welcome: {why}; try again")
        }
        ConnectError::Handshake(_)
        | ConnectError::Subprotocol { .. }
        | ConnectError::NoWelcome(_) => {
            format!("{url}: {error}; it is not a tapecast gateway: {write}")
        }
    };
    failed(message)
}

/// What is said of an answer that is no WebSocket. Most often the path was forgotten, and a page was sent.
fn refused(url: &str, status: impl Display, body: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.split('?').next().unwrap_or_default();
    if format!("/{path}") != PATH {
        return format!(
            "{url}: the server answered with HTTP status {status} and not as a WebSocket; add the path: write \
             ws://{host}{PATH}"
        );
    }
    // A page says nothing in a terminal, and a listener without this path is another one.
    let elsewhere = status.to_string().starts_with("404");
    let said = match elsewhere || body.is_empty() || body.starts_with('<') {
        true => "no tapecast gateway takes clients there; write the host and port of listen.public",
        false => body,
    };
    format!("{url}: the server refused the connection with HTTP status {status}: {said}")
}

/// Where a gateway takes clients.
const PATH: &str = "/v1/ws";

/// Why a connection has ended, and what to do about it.
fn lost(url: &str, error: &ClientError) -> String {
    let remedy = match error {
        ClientError::RequestTooLarge { .. } => "give fewer topics",
        ClientError::Message(_) => "use the version of the gateway",
        ClientError::Closed(_) | ClientError::Silent(_) | ClientError::Socket(_) => {
            "run the command again once the gateway is ready"
        }
    };
    format!("{url}: {error}; {remedy}")
}

/// Prints a message.
fn print(
    options: &Watch,
    table: Option<&mut Table>,
    message: &Message,
    applies: bool,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match (message.data(), table) {
        (Some(frame), Some(table)) if applies => {
            table.update(&frame.topic, &summary(frame));
            out.write_all(table.draw().as_bytes())?;
        }
        (None, Some(table)) => {
            if let MessageKind::Gap(gap) = message.kind() {
                table.update(&gap.topic, &loss(gap));
                out.write_all(table.draw().as_bytes())?;
            }
        }
        (Some(_), Some(_)) => {}
        (Some(_), None) if options.json => writeln!(out, "{}", message.text())?,
        (Some(frame), None) if applies => writeln!(out, "{} {}", frame.topic, summary(frame))?,
        (None, None) if options.json || matches!(message.kind(), MessageKind::Gap(_)) => {
            writeln!(out, "{}", message.text())?;
        }
        _ => {}
    }
    out.flush()
}

/// A loss in a few words: of a state it leaves nothing that is current.
fn loss(gap: &Gap) -> String {
    let Gap { from, to, .. } = gap;
    let of = if gap.topic.starts_with("trade") {
        "lost"
    } else {
        "lost; nothing current until the next frame"
    };
    format!("{from} to {to} {of} ({})", gap.reason)
}

/// A frame in a few words.
fn summary(frame: &DataFrame) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let words = match &frame.body {
        Body::Trades(trades) => {
            let words = trades.iter().map(|trade| {
                let side = trade.side.as_deref().unwrap_or("");
                format!("{side:4} {} @ {}", trade.qty, trade.price)
            });
            words.collect::<Vec<_>>().join(", ")
        }
        Body::Quote(quote) => format!(
            "{} × {} / {} × {}",
            text(&quote.bid_qty),
            text(&quote.bid),
            text(&quote.ask),
            text(&quote.ask_qty)
        ),
        Body::Book(book) => {
            let best = |levels: &[Level]| {
                levels.first().map_or_else(
                    || "-".to_owned(),
                    |level| format!("{} @ {}", level.qty, level.price),
                )
            };
            let (bids, asks) = (book.bids.len(), book.asks.len());
            format!(
                "{bids} bids, first {}; {asks} asks, first {}",
                best(&book.bids),
                best(&book.asks)
            )
        }
        Body::Ticker(ticker) => format!(
            "last {} change {}% volume {}",
            text(&ticker.last),
            text(&ticker.change_pct),
            text(&ticker.volume)
        ),
        Body::Status(status) => {
            let channel =
                |(name, channel): (&String, &ChannelHealth)| format!("{name} {}", channel.feed);
            let mut said = vec![status.feed.clone(), status.trading.clone()];
            if !status.reason.is_empty() {
                said.push(status.reason.clone());
            }
            if !status.channels.is_empty() {
                let channels: Vec<_> = status.channels.iter().map(channel).collect();
                said.push(format!("({})", channels.join(", ")));
            }
            said.join(" ")
        }
        Body::Bar(bar) => {
            let state = if bar.is_final { "final" } else { "running" };
            format!(
                "{} {} {} {} {state}",
                bar.open, bar.high, bar.low, bar.close
            )
        }
        Body::Definition(definition) => {
            let mut said = vec![definition.native.clone(), definition.trading.clone()];
            let named = [
                ("", &definition.kind),
                ("tick ", &definition.tick),
                ("lot ", &definition.lot),
                ("min ", &definition.min_qty),
            ];
            let known = named.into_iter();
            said.extend(
                known.filter_map(|(name, value)| Some(format!("{name}{}", value.as_ref()?))),
            );
            said.join(" ")
        }
        Body::Other => String::new(),
    };
    let mark = if frame.frame_type == FrameType::Snapshot {
        "= "
    } else {
        ""
    };
    format!("#{} {mark}{words}", frame.seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_there_is_no_connection_is_said_with_the_cause_and_the_remedy() {
        let reach = |source: io::Error| ConnectError::Reach {
            address: "desk:9".to_owned(),
            source,
        };
        let url = "ws://desk:9/v1/ws";
        for (source, part) in [
            (ErrorKind::ConnectionRefused, "start the gateway"),
            (ErrorKind::HostUnreachable, "the network"),
            (ErrorKind::Other, "the host and the port"),
        ] {
            let cause = io::Error::new(source, "the cause");
            let ended = not_connected(url, &reach(cause));
            assert_eq!(ended.code, FAILURE);
            for part in [url, "the cause", part] {
                assert!(
                    ended.message.contains(part),
                    "{} lacks {part}",
                    ended.message
                );
            }
        }
        let wrong = not_connected(
            "http://desk",
            &ConnectError::Url {
                url: "http://desk".to_owned(),
                why: "it must begin with ws://".to_owned(),
            },
        );
        assert_eq!(wrong.code, USAGE);
    }

    #[test]
    fn a_forgotten_path_is_named_and_a_page_is_not_printed() {
        let page = "<!doctype html><html>";
        for url in ["ws://desk:80", "ws://desk:80/", "ws://desk:80/v1"] {
            let said = refused(url, "200 OK", page);
            assert!(said.contains("write ws://desk:80/v1/ws"), "{said}");
            assert!(said.contains("200 OK") && !said.contains(page), "{said}");
        }
        let said = refused("ws://desk/v1/ws", "404 Not Found", page);
        assert!(
            said.contains("listen.public") && !said.contains(page),
            "{said}"
        );
        let said = refused("ws://desk/v1/ws?a=1", "421", "add it to allowed_hosts");
        assert!(said.ends_with("add it to allowed_hosts"), "{said}");
    }
}
