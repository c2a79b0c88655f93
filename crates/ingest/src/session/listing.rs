//! The venue's list of instruments: read at the start, every hour, and when a number does not fit.

use super::definitions::Selection;
use super::line::{Line, Phase, SubscriptionState};
use super::requests::{Job, Purpose};
use super::venue::{Definitions, Listing, StreamName};
use super::{LiveInstrument, Session, VenueInstrument};
use crate::aside::Defined;
use crate::event::{EventBody, Scales};
use crate::plan::PlannedInstrument;
use crate::venue::VenueStream;
use std::sync::Arc;
use std::time::Duration;
use tapecast_model::catalog::Definition;
use tapecast_model::{ChannelKind, ChannelSet, InstrumentId, Symbol, TradingState};

/// The list is not read more often, whatever does not fit.
const LIST_AT_MOST_EVERY: Duration = Duration::from_secs(30);
/// A list that is a stream must come in this time.
const LIST_WITHIN: Duration = Duration::from_secs(30);

impl Session {
    /// Whether it is known which instruments there are: the venue has said it, now or to an earlier session.
    pub const fn is_defined(&self) -> bool {
        let has_listed = match self.wanted.top {
            Some(_) => self.ranking.is_known(),
            None => self.listed.is_some(),
        };
        has_listed || !self.instruments.is_empty()
    }

    /// Asks for the list, if it is due.
    pub(super) fn ask_for_list(&mut self) {
        if self.list_due.is_none_or(|at| at > self.now) {
            return;
        }
        match self.live.definitions() {
            Definitions::Http(request) => {
                self.list_due = None;
                self.requests
                    .ask(Purpose::Definitions, request, self.now, true);
            }
            Definitions::Stream(stream) => {
                self.list_due = Some(self.now.after(LIST_WITHIN));
                self.list_asked = Some(self.now);
                self.ask_for_stream_of_list(stream);
            }
        }
    }

    /// Asks for the list on a line; anew, if it was accepted there.
    fn ask_for_stream_of_list(&mut self, stream: StreamName) {
        let has_list = |(number, line): (&u32, &Line)| {
            let place = line.list.filter(|_| line.replaced_by.is_none())?;
            Some((*number, place))
        };
        let Some((number, place)) = self.lines.iter().find_map(has_list) else {
            let number = self.line_with_room(stream.group, 1);
            if let Some(line) = self.lines.get_mut(&number) {
                line.want(None, stream);
            }
            self.ask_for_new();
            return;
        };
        let Some(line) = self.lines.get_mut(&number).filter(|line| line.is_open()) else {
            return;
        };
        let state = &mut line.subscriptions[place].state;
        if matches!(
            state,
            SubscriptionState::Live | SubscriptionState::Accepted(_)
        ) {
            *state = SubscriptionState::Wanted;
            line.ask_anew(place);
            self.send_requests(number);
        }
    }

    /// A message of the list's stream: the whole list, or what has changed in it.
    pub(super) fn take_message_of_list(&mut self, number: u32, raw: &mut [u8]) {
        let listing = match self.live.read_definitions(raw) {
            Ok(listing) => listing,
            Err(why) => {
                if let Some(more) = self.log.pass(self.now) {
                    tracing::warn!(venue = %self.venue, reason = why, more, "List of instruments refused");
                }
                return;
            }
        };
        if let Some(line) = self.lines.get_mut(&number)
            && let Some(place) = line.list
        {
            line.data = self.now;
            let subscription = &mut line.subscriptions[place];
            (subscription.state, subscription.tries) = (SubscriptionState::Live, 0);
            subscription.joined = true;
        }
        self.take_listing(listing);
    }

    fn take_listing(&mut self, listing: Listing) {
        self.take_definitions(&listing.instruments, listing.is_whole);
        if listing.is_whole {
            self.listed = Some(self.now);
            self.list_due = Some(self.now.after(self.live.rules().definitions_every()));
        }
        self.learned.note_listing(listing);
    }

    /// The venue says how it is as a whole. Books go on: they are judged by what comes.
    pub(super) fn take_system(&mut self, trading: TradingState, word: &str) {
        if self.system == trading {
            return;
        }
        self.system = trading;
        tracing::info!(venue = %self.venue, state = word, "The venue has said how it is");
        for at in 0..self.instruments.len() {
            self.say_trading(at);
        }
    }

    /// Something does not fit the list that we have.
    pub(super) fn list_soon(&mut self) {
        let Some(listed) = self.listed else { return };
        let last = self.list_asked.map_or(listed, |asked| asked.max(listed));
        let earliest = last.after(LIST_AT_MOST_EVERY).max(self.now);
        self.list_due = self.list_due.map(|at| at.min(earliest));
    }

    /// The list came.
    pub(super) fn take_list(&mut self, job: Job, body: &mut [u8]) {
        match self.live.read_definitions(body) {
            Ok(listing) => self.take_listing(listing),
            Err(why) => self.ask_again(job, &why),
        }
    }

    pub(super) fn take_definitions(&mut self, list: &[VenueInstrument], is_whole: bool) {
        let Selection {
            chosen,
            unknown,
            surplus,
        } = self.wanted.choose(list);
        let is_first = self.listed.is_none() && is_whole;
        if is_first {
            for symbol in unknown {
                tracing::warn!(venue = %self.venue, %symbol, "The venue has no such instrument; it is left out");
            }
            let nameless: Vec<_> = list
                .iter()
                .filter(|listed| listed.symbol.is_none())
                .map(|listed| &*listed.native)
                .collect();
            if !nameless.is_empty() {
                let ids = nameless.join(", ");
                tracing::warn!(venue = %self.venue, ids, "Ids of the venue make no symbol; they are left out");
            }
            if surplus > 0 {
                tracing::warn!(venue = %self.venue, surplus, "More instruments are wanted than the maximum; the rest is left out");
            }
        }
        for listed in list {
            if let Some(at) = self.by_native.get(&*listed.native).copied() {
                self.update(at, listed);
            }
        }
        if is_whole {
            self.tell_delisted(list);
        }
        self.note_candidates(list, is_whole);
        for at in chosen {
            if !self.by_native.contains_key(&*list[at].native)
                && self.instruments.len() < self.wanted.most
            {
                self.add(&list[at]);
            }
        }
        self.ask_for_new();
    }

    /// Instruments that the list does not have any more will not trade again.
    fn tell_delisted(&mut self, list: &[VenueInstrument]) {
        let natives: hashbrown::HashSet<&str> = list.iter().map(|listed| &*listed.native).collect();
        for at in 0..self.instruments.len() {
            let instrument = &self.instruments[at];
            if !natives.contains(&*instrument.native) {
                self.instruments[at].listed = TradingState::Delisted;
                self.say_trading(at);
            }
        }
    }

    /// Says what trading is, if it has changed: as the list says, unless the venue as a whole is not open.
    fn say_trading(&mut self, at: usize) {
        let instrument = &mut self.instruments[at];
        let trading = match (self.system, instrument.listed) {
            (TradingState::Open | TradingState::Unknown, listed)
            | (_, listed @ (TradingState::Delisted | TradingState::Halted)) => listed,
            (system, _) => system,
        };
        if std::mem::replace(&mut instrument.trading, trading) != trading {
            self.say(at, EventBody::Trading(trading));
        }
    }

    /// What the list says of an instrument that is served.
    fn update(&mut self, at: usize, listed: &VenueInstrument) {
        self.instruments[at].listed = listed.trading;
        self.say_trading(at);
        let (line, standby) = (self.instruments[at].line, self.instruments[at].standby);
        let mut next = None;
        for (number, is_first) in [(Some(line), true), (standby, false)] {
            let Some(it) = number.and_then(|number| self.lines.get_mut(&number)) else {
                continue;
            };
            let mut events = Vec::new();
            let id = it
                .parser
                .redefine(&listed.native, listed.scales, self.wall, &mut events);
            if is_first && let Some(id) = id {
                next = Some(id);
                self.pass_on(line, events);
            }
        }
        if let Some(id) = next {
            let old = std::mem::replace(&mut self.instruments[at].id, id);
            self.by_id.remove(&old);
            self.by_id.insert(id, at);
            self.instruments[at].live = ChannelSet::EMPTY;
            self.instruments[at].scales = listed.scales;
            self.instruments[at].position.forget_quote();
            self.instruments[at].agreement = Default::default();
            self.instruments[at].quote_due = None;
            self.served.push(id);
            tracing::info!(venue = %self.venue, native = %listed.native, "The venue has changed the digits of an instrument");
            self.begin_book_anew(at);
            self.begin_successor_anew(at);
        }
        if self.instruments[at].terms != listed.terms || next.is_some() {
            self.instruments[at].terms = listed.terms;
            self.say(at, EventBody::Defined(Box::new(listed.terms)));
        }
    }

    /// Serves one more instrument.
    pub(super) fn add(&mut self, listed: &VenueInstrument) {
        let Some(symbol) = &listed.symbol else { return };
        let Some((id, scales)) = self.enter(symbol, listed) else {
            return;
        };
        let wanted = self.wanted.channels;
        let stream = |channel: ChannelKind| {
            Some((channel, self.live.stream(&listed.native, channel, wanted)?))
        };
        let kinds = ChannelKind::ALL
            .into_iter()
            .filter(|kind| wanted.contains(*kind));
        let streams: Vec<(ChannelKind, StreamName)> = kinds.filter_map(stream).collect();
        let Some((_, StreamName { group, .. })) = streams.first() else {
            return;
        };
        let (at, group) = (self.instruments.len(), *group);
        let number = self.line_with_room(group, streams.len());
        let channels = streams
            .iter()
            .fold(ChannelSet::EMPTY, |set, (kind, _)| set.with(*kind));
        let in_stream = self.live.snapshot(&listed.native).is_none();
        self.instruments.push(LiveInstrument {
            native: listed.native.clone(),
            id,
            channels,
            listed: listed.trading,
            trading: TradingState::Unknown,
            terms: listed.terms,
            live: ChannelSet::EMPTY,
            line: number,
            standby: None,
            book: Default::default(),
            in_stream,
            renewal: Default::default(),
            successor: None,
            disorder: Default::default(),
            was_thin: false,
            agreement: Default::default(),
            probes_quote: false,
            position: Default::default(),
            quote_due: None,
            check: None,
            check_at: self.now,
            symbol: symbol.clone(),
            scales,
        });
        self.served.push(id);
        self.by_id.insert(id, at);
        self.by_native.insert(listed.native.clone(), at);
        let planned = self.planned(at);
        let served = planned.channels();
        let Some(line) = self.lines.get_mut(&number) else {
            return;
        };
        if let Err(error) = line.parser.add(planned, id) {
            tracing::warn!(venue = %self.venue, %symbol, %error, "An instrument is left out");
        }
        for (channel, stream) in streams {
            line.want(Some((at, channel)), stream);
        }
        let is_open = line.is_open();
        self.check_later(at, 0.25);
        let asked = crate::event::FeedEvent::Subscribed(served);
        self.say(at, EventBody::Feed(asked));
        self.say(at, EventBody::Defined(Box::new(listed.terms)));
        self.say_trading(at);
        if is_open {
            self.begin_book(at);
        }
        if scales != listed.scales {
            // As an earlier session knew it.
            self.update(at, listed);
        }
    }

    /// Enters an instrument in the catalogue, unless an earlier session of this process has. Returns its id, and the
    /// scales that it has there.
    fn enter(&self, symbol: &Symbol, listed: &VenueInstrument) -> Option<(InstrumentId, Scales)> {
        let definition = Definition {
            symbol: symbol.clone(),
            native: listed.native.clone(),
            price_scale: listed.scales.price_scale,
            qty_scale: listed.scales.qty_scale,
        };
        let mut known = self.known.iter();
        let entered = match known.find(|known| known.symbol == *symbol) {
            Some(known) => Ok(Arc::clone(known)),
            None => self.catalog.add_instrument(&self.venue, definition),
        };
        match entered {
            Ok(instrument) => Some((
                instrument.id,
                Scales {
                    price_scale: instrument.price_scale,
                    qty_scale: instrument.qty_scale,
                },
            )),
            Err(error) => {
                tracing::warn!(venue = %self.venue, %symbol, %error, "An instrument is left out");
                None
            }
        }
    }

    /// A line of a group with room for so many streams.
    fn line_with_room(&mut self, group: u8, streams: usize) -> u32 {
        let most = self.live.rules().streams_max;
        let has_room = |line: &Line| {
            line.group == group
                && line.replaces.is_none()
                && line.replaced_by.is_none()
                && line.subscriptions.len() + streams <= most
        };
        let found = self.lines.iter().find(|(_, line)| has_room(line));
        if let Some((number, _)) = found {
            return *number;
        }
        let number = self.next_line();
        let line = Line::new(group, self.parser_of(&[]), self.live.rules(), self.now);
        debug_assert!(matches!(line.phase, Phase::Waiting(_)));
        self.lines.insert(number, line);
        number
    }

    /// What is used of an instrument.
    pub(super) fn planned(&self, at: usize) -> PlannedInstrument {
        let instrument = &self.instruments[at];
        PlannedInstrument::new(
            &instrument.native,
            instrument.symbol.clone(),
            instrument.scales,
            self.streams_of(at),
        )
    }

    fn streams_of(&self, at: usize) -> Vec<VenueStream> {
        let channels = self.instruments[at].channels;
        let mut streams = self.live.streams();
        streams.retain(|stream| channels.contains(stream.carries.channel()));
        streams
    }

    /// An instrument that is served under this id, and what is asked for of it.
    pub fn defined(&self, id: InstrumentId) -> Option<Defined> {
        let at = *self.by_id.get(&id)?;
        let instrument = &self.instruments[at];
        Some(Defined {
            native: instrument.native.to_string(),
            symbol: instrument.symbol.as_str().to_owned(),
            price_scale: instrument.scales.price_scale.digits(),
            qty_scale: instrument.scales.qty_scale.digits(),
            streams: self.streams_of(at),
        })
    }
}
