//! Requests by HTTP: one queue per venue, paced by weight, few at a time.
//!
//! A request that fails is asked again after a pause, unless the venue refuses it for what it is. If the venue says
//! that we ask too much, or that it does not serve our region, the whole queue pauses for as long as it says.
//! A queue has at most one request per purpose, so it is bounded by the number of instruments.

use super::backoff::Backoff;
use super::budget::Budget;
use super::venue::{Request, VenueRules};
use hashbrown::HashMap;
use rand::rngs::SmallRng;
use std::collections::VecDeque;
use std::time::Duration;
use tapecast_model::Mono;

/// What a request is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Purpose {
    /// The list of instruments.
    Definitions,
    /// The turnover of all instruments.
    Turnover,
    /// A snapshot of an instrument's book: its place among the instruments.
    Snapshot(usize),
    /// The same, to compare a book that seems right.
    Check(usize),
}

/// A request that waits or is on its way.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) purpose: Purpose,
    pub(super) request: Request,
    pub(super) backoff: Backoff,
    /// Not before.
    after: Mono,
}

/// What a venue says to a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// Here it is.
    Granted,
    /// We ask too much: all requests pause.
    Paused(Duration),
    /// We may not ask from here, it says: all requests pause, longer each time.
    Forbidden(Option<Duration>),
    /// This request is wrong, and will be.
    Wrong,
    /// Something went wrong there or on the way.
    Failed,
}

/// All requests of a venue.
#[derive(Debug)]
pub(super) struct Requests {
    waiting: VecDeque<Job>,
    sent: HashMap<u64, (Job, Mono)>,
    next_id: u64,
    weight: Budget,
    /// Nothing is asked before.
    paused: Mono,
    /// So often in a row it was said that we may not ask.
    forbidden: u32,
    /// The venue has said that we ask too much, and granted nothing since: one request at a time.
    careful: bool,
}

/// Requests that are on their way at once: enough for a distant venue, and few enough to be stopped in time.
const SENT_MAX: usize = 8;

/// An answer must be whole in this time.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// How much later than that a request is given up here: the shell should have said so.
const GRACE: Duration = Duration::from_secs(5);

/// How long a venue is left alone that does not say how long.
const PAUSE: Duration = Duration::from_secs(60);

/// How long a venue is left alone that says that it does not serve our region; each further time twice as long.
const REFUSED: Duration = Duration::from_secs(30);

/// It is asked at least so often.
const REFUSED_MAX: Duration = Duration::from_secs(600);

/// How long between two tries of a request.
pub(super) const RETRY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));

// === impl Verdict ===

impl Verdict {
    /// What an answer's status and `Retry-After` mean.
    pub(super) fn of(status: u16, retry_after: Option<Duration>) -> Self {
        match status {
            200 => Self::Granted,
            418 | 429 => Self::Paused(retry_after.unwrap_or(PAUSE)),
            403 | 451 => Self::Forbidden(retry_after),
            400..=499 => Self::Wrong,
            _ => Self::Failed,
        }
    }
}

// === impl Requests ===

impl Requests {
    /// Nothing is asked.
    pub(super) fn new(rules: &VenueRules) -> Self {
        let (limit, span) = rules.weight();
        Self {
            waiting: VecDeque::new(),
            sent: HashMap::new(),
            next_id: 0,
            weight: Budget::new(limit, span),
            paused: Mono::default(),
            forbidden: 0,
            careful: false,
        }
    }

    /// Asks for something, at once or after a time; if it is asked for already, nothing changes.
    pub(super) fn ask(&mut self, purpose: Purpose, request: Request, after: Mono, first: bool) {
        if self.is_asked(purpose) {
            return;
        }
        let job = Job {
            purpose,
            request,
            backoff: RETRY,
            after,
        };
        if first {
            self.waiting.push_front(job);
        } else {
            self.waiting.push_back(job);
        }
    }

    /// Asks once more, after a pause.
    pub(super) fn ask_again(&mut self, mut job: Job, now: Mono, random: &mut SmallRng) -> Mono {
        let pause = job.backoff.fail(random);
        job.after = now.after(pause);
        let after = job.after;
        self.waiting.push_front(job);
        after
    }

    /// Whether it waits or is on its way.
    pub(super) fn is_asked(&self, purpose: Purpose) -> bool {
        let mut waiting = self.waiting.iter();
        waiting.any(|job| job.purpose == purpose)
            || self.sent.values().any(|(job, _)| job.purpose == purpose)
    }

    /// The next request that may be sent now, and its number.
    pub(super) fn next(&mut self, now: Mono) -> Option<(u64, &Job)> {
        if now < self.paused || self.sent.len() >= self.sent_max() {
            return None;
        }
        let at = self.waiting.iter().position(|job| job.after <= now)?;
        self.weight
            .spend(self.waiting[at].request.weight, now)
            .ok()?;
        let job = self.waiting.remove(at)?;
        self.next_id += 1;
        let id = self.next_id;
        let (job, _) = self
            .sent
            .entry(id)
            .insert((job, now.after(TIMEOUT + GRACE)))
            .into_mut();
        Some((id, job))
    }

    /// The request of this number, which is answered; none if nobody waits for it.
    pub(super) fn answered(&mut self, id: u64) -> Option<Job> {
        self.sent.remove(&id).map(|(job, _)| job)
    }

    /// A request whose answer is overdue.
    pub(super) fn overdue(&mut self, now: Mono) -> Option<Job> {
        let late = self.sent.iter().find(|(_, (_, deadline))| *deadline <= now);
        let id = *late?.0;
        self.answered(id)
    }

    /// We may not ask from here, says the venue. Returns how long all requests pause.
    pub(super) fn forbid(&mut self, pause: Option<Duration>, now: Mono) -> Duration {
        let doubled = REFUSED * (1 << self.forbidden.min(8));
        let pause = pause.unwrap_or(doubled.min(REFUSED_MAX));
        self.forbidden += 1;
        self.pause(pause, now);
        pause
    }

    /// A request was granted: we may ask.
    pub(super) const fn permit(&mut self) {
        (self.forbidden, self.careful) = (0, false);
    }

    const fn sent_max(&self) -> usize {
        if self.careful { 1 } else { SENT_MAX }
    }

    /// All requests pause.
    pub(super) fn pause(&mut self, pause: Duration, now: Mono) {
        self.paused = self.paused.max(now.after(pause));
        self.careful = true;
    }

    /// Until when all requests pause; none if they do not.
    pub(super) fn paused_until(&self, now: Mono) -> Option<Mono> {
        (now < self.paused).then_some(self.paused)
    }

    /// The venue says how much weight it has counted.
    pub(super) fn note_weight(&mut self, used: u32, now: Mono) {
        self.weight.note_used(used, now);
    }

    /// What is left of the weight.
    pub(super) fn weight_left(&mut self, now: Mono) -> u32 {
        self.weight.left(now)
    }

    /// How many wait, and how many are on their way.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.waiting.len(), self.sent.len())
    }

    /// When something is to do next.
    pub(super) fn next_deadline(&self, now: Mono) -> Option<Mono> {
        let overdue = self.sent.values().map(|(_, deadline)| *deadline).min();
        if self.sent.len() >= self.sent_max() {
            return overdue;
        }
        let first = self.waiting.iter().min_by_key(|job| job.after.max(now));
        let next = first.map(|job| {
            let start = job.after.max(self.paused).max(now);
            self.weight.when(job.request.weight, start)
        });
        overdue.into_iter().chain(next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    fn rules() -> VenueRules {
        VenueRules::of("binance", &toml::Table::new()).unwrap()
    }

    fn request(weight: u32) -> Request {
        Request {
            url: "https://x/".into(),
            weight,
        }
    }

    #[test]
    fn five_hundred_snapshots_take_as_long_as_their_weight_allows_and_not_much_longer() {
        let mut requests = Requests::new(&rules());
        let mut now = Mono::default();
        for n in 0..500 {
            requests.ask(Purpose::Snapshot(n), request(50), now, false);
        }
        let mut done = 0;
        while done < 500 {
            match requests.next(now).map(|(id, _)| id) {
                Some(id) => {
                    requests.answered(id);
                    done += 1;
                }
                None => now = requests.next_deadline(now).unwrap(),
            }
        }
        // 25,000 of weight at 6,000 a minute: four minutes after the first.
        let seconds = (now - Mono::default()).as_secs();
        assert!((240..=264).contains(&seconds), "{seconds} s");
    }

    #[test]
    fn a_venue_that_bans_is_left_alone_as_long_as_it_says() {
        let mut requests = Requests::new(&rules());
        let now = Mono::default();
        requests.ask(Purpose::Definitions, request(20), now, false);
        let (id, _) = requests.next(now).unwrap();
        let job = requests.answered(id).unwrap();
        assert_eq!(
            Verdict::of(418, Some(Duration::from_secs(90))),
            Verdict::Paused(Duration::from_secs(90))
        );
        requests.pause(Duration::from_secs(90), now);
        requests.ask_again(job, now, &mut SmallRng::seed_from_u64(1));
        assert!(requests.next(now.after(Duration::from_secs(89))).is_none());
        let at = requests.next_deadline(now).unwrap();
        assert_eq!(at, now.after(Duration::from_secs(90)));
        assert!(requests.next(at).is_some());
    }

    #[test]
    fn the_same_is_asked_once_and_an_overdue_answer_is_given_up() {
        let mut requests = Requests::new(&rules());
        let now = Mono::default();
        for _ in 0..3 {
            requests.ask(Purpose::Snapshot(1), request(20), now, false);
        }
        assert!(requests.next(now).is_some() && requests.next(now).is_none());
        requests.ask(Purpose::Snapshot(1), request(20), now, false);
        assert_eq!(requests.counts(), (0, 1));
        let late = requests.next_deadline(now).unwrap();
        assert!(requests.overdue(now).is_none());
        assert_eq!(
            requests.overdue(late).map(|job| job.purpose),
            Some(Purpose::Snapshot(1))
        );
    }
}
