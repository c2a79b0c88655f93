//! `tapecast watch`: a client in the terminal.

mod table;

use crate::cli::complain;
use clap::Args;
use std::io::Write as _;
use std::process::ExitCode;
use table::Table;
use tapecast_client::message::{ChannelHealth, Gap, Level};
use tapecast_client::{
    Body, Client, ClientError, ConnectOptions, DataFrame, Encoding, FrameType, Message,
    MessageKind, Outcome, Tracker,
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

/// Watches until told to end.
pub fn run(options: &Watch) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        complain("cannot start the runtime");
        return ExitCode::FAILURE;
    };
    match runtime.block_on(watch(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&message);
            ExitCode::from(2)
        }
    }
}

async fn watch(options: &Watch) -> Result<(), String> {
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
    let mut client = Client::connect(url, connect)
        .await
        .map_err(|error| format!("{url}: {error}"))?;
    client
        .subscribe(&options.topics)
        .await
        .map_err(|error| error.to_string())?;
    let (mut tracker, mut table) = (Tracker::new(), options.table.then(Table::default));
    let mut updates = 0;
    while options.count.is_none_or(|count| updates < count) {
        let message = tokio::select! {
            message = client.next() => message,
            _ = tokio::signal::ctrl_c() => break,
        };
        let message = match message {
            Ok(message) => message,
            Err(ClientError::Closed(close)) => return Err(format!("{url}: closed: {close}")),
            Err(error) => return Err(format!("{url}: {error}")),
        };
        if let MessageKind::Subscribed(subscribed) = message.kind() {
            for refusal in &subscribed.rejected {
                complain(&format!(
                    "{}: {} ({})",
                    refusal.topic, refusal.message, refusal.error
                ));
            }
            if subscribed.topics.is_empty() {
                return Err("the gateway refused every topic".to_owned());
            }
        }
        let applies = tracker.handle(&message) == Outcome::Apply;
        let lost = tracker.take_lost();
        if !lost.is_empty() {
            client
                .resync(&lost)
                .await
                .map_err(|error| error.to_string())?;
        }
        if let Some(frame) = message.data().filter(|_| applies) {
            updates += u64::from(frame.frame_type == FrameType::Update);
        }
        if !print(options, table.as_mut(), &message, applies) {
            break;
        }
    }
    client.close(std::time::Duration::from_secs(1)).await;
    Ok(())
}

/// Prints a message; returns whether standard output is still open.
fn print(options: &Watch, table: Option<&mut Table>, message: &Message, applies: bool) -> bool {
    let mut out = std::io::stdout().lock();
    let written = match (message.data(), table) {
        (Some(frame), Some(table)) if applies => {
            table.update(&frame.topic, &summary(frame));
            out.write_all(table.draw().as_bytes())
                .and_then(|()| out.flush())
        }
        (None, Some(table)) => match message.kind() {
            MessageKind::Gap(gap) => {
                table.update(&gap.topic, &loss(gap));
                out.write_all(table.draw().as_bytes())
                    .and_then(|()| out.flush())
            }
            _ => Ok(()),
        },
        (Some(_), Some(_)) => Ok(()),
        (Some(_), None) if options.json => writeln!(out, "{}", message.text()),
        (Some(frame), None) if applies => writeln!(out, "{} {}", frame.topic, summary(frame)),
        (None, None) if options.json || matches!(message.kind(), MessageKind::Gap(_)) => {
            writeln!(out, "{}", message.text())
        }
        _ => Ok(()),
    };
    written.is_ok()
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
        Body::Other => String::new(),
    };
    let mark = if frame.frame_type == FrameType::Snapshot {
        "= "
    } else {
        ""
    };
    format!("#{} {mark}{words}", frame.seq)
}
