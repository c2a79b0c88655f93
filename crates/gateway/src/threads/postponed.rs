//! Topics that wait for the market's state to learn what they begin with.
//!
//! A topic is in here once, however often shards ask for it. So there are at most as many as there are
//! topics. A topic whose subscribers have left stays until the answer comes; then it ends as all do.

use std::collections::HashMap;
use std::sync::Arc;
use tapecast_fanout::TopicEntry;
use tapecast_model::StreamKey;

/// Topics that wait, by stream.
#[derive(Debug, Default)]
pub struct Postponed {
    waiting: HashMap<StreamKey, Vec<Arc<TopicEntry>>>,
    answered: Vec<Arc<TopicEntry>>,
}

impl Postponed {
    /// A topic waits until its stream is answered.
    pub fn add(&mut self, entry: Arc<TopicEntry>) {
        let entries = self.waiting.entry(entry.stream()).or_default();
        if !entries.iter().any(|other| Arc::ptr_eq(other, &entry)) {
            entries.push(entry);
        }
    }

    /// The topics of this stream can begin.
    pub fn answer(&mut self, stream: StreamKey) {
        self.answered
            .extend(self.waiting.remove(&stream).unwrap_or_default());
    }

    /// A topic that can begin.
    pub fn take(&mut self) -> Option<Arc<TopicEntry>> {
        self.answered.pop()
    }
}
