//! Streams that were accepted and are silent, although something happens at their venue.
//!
//! A quiet stream is allowed, so silence alone shows nothing. What shows that a stream is dead:
//!
//! | stream | proof |
//! |---|---|
//! | book, quote | a snapshot has a higher number, and the stream does not come as far: `books` |
//! | trades, ticker | the price of the last trade is not the same in both: [`Agreement`] |
//!
//! A dead stream is asked for anew, and with it the trades of the instrument if none have come since they were accepted:
//! perhaps the ticker does not come either, and then they have no proof. If nothing at all has come on the line for a
//! while, then the connection is dead, whatever it answers to pings, and it is opened anew. Trades without a ticker,
//! which is configured, have no proof.

use super::agreement::{Agreement, BEHIND_MAX};
use super::line::SubscriptionState;
use super::{LiveInstrument, Session, Transmit};
use crate::event::{Event, EventBody};
use std::time::Duration;
use tapecast_model::{ChannelKind, Mono};

/// A line on which nothing has come for so long, and one stream of which is dead, is dead as a whole. A stream that has
/// sent nothing for so long since it was accepted is suspicious.
const SILENT: Duration = Duration::from_secs(20);

impl Session {
    /// Asks for the trades or the ticker anew, if one does not follow the other.
    pub(super) fn visit_agreement(&mut self, at: usize) {
        let instrument = &mut self.instruments[at];
        let Some(channel) = instrument.agreement.take_dead(self.now) else {
            return;
        };
        // What was missed stays missed: a stream that is quiet from now on is not dead again because of it. And what
        // was missed before it was accepted does not count.
        instrument.agreement = Agreement::default();
        let line = self.lines.get(&instrument.line);
        let state = line.and_then(|line| Some(line.subscriptions[line.place(at, channel)?].state));
        match state {
            Some(SubscriptionState::Accepted(since)) if since.after(BEHIND_MAX) > self.now => {}
            _ => self.revive(at, channel),
        }
    }

    /// A stream that was accepted is dead.
    pub(super) fn revive(&mut self, at: usize, channel: ChannelKind) {
        let (now, number) = (self.now, self.instruments[at].line);
        let Some(line) = self.lines.get(&number).filter(|line| line.is_open()) else {
            return;
        };
        if line.place(at, channel).is_none() {
            return;
        }
        if line.data.after(SILENT) <= now {
            self.transmits.push_back(Transmit::Close { line: number });
            let why = "no data came, although the venue has some".to_owned();
            return self.end_line(number, why);
        }
        let mut dead = Vec::new();
        for kind in [channel, ChannelKind::Trade] {
            let Some(place) = line.place(at, kind).filter(|place| !dead.contains(place)) else {
                continue;
            };
            let is_dead = match line.subscriptions[place].state {
                SubscriptionState::Live => kind == channel,
                SubscriptionState::Accepted(since) => kind == channel || since.after(SILENT) <= now,
                SubscriptionState::Wanted
                | SubscriptionState::Asked
                | SubscriptionState::Refused(_) => false,
            };
            if is_dead {
                dead.push(place);
            }
        }
        if channel == ChannelKind::Quote {
            self.instruments[at].position.forget_quote();
        }
        for place in dead {
            self.ask_anew(number, place);
        }
    }
}

// === impl LiveInstrument ===

impl LiveInstrument {
    /// Notes the price of the last trade, of whichever stream.
    pub(super) fn agree(&mut self, event: &Event, now: Mono) {
        match &event.body {
            EventBody::Trades { trades, .. } => {
                if let Some(trade) = trades.last() {
                    self.agreement.note_trade(trade.price.mantissa(), now);
                }
            }
            EventBody::Ticker(ticker) => {
                let last = ticker.last;
                let last = last.and_then(|last| last.rescale(self.scales.price_scale).ok());
                if let Some(last) = last {
                    self.agreement.note_ticker(last, now);
                }
            }
            _ => {}
        }
    }
}
