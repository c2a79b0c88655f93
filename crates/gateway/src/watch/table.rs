//! A table in the terminal with one line per topic, drawn again at each update.

use std::collections::BTreeMap;

/// What is known of each topic.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: BTreeMap<String, (u64, String)>,
    drawn: usize,
}

impl Table {
    /// Replaces a topic's line.
    pub(super) fn update(&mut self, topic: &str, words: &str) {
        let row = self.rows.entry(topic.to_owned()).or_default();
        row.0 += 1;
        words.clone_into(&mut row.1);
    }

    /// The table, preceded by what moves the cursor to its beginning.
    pub(super) fn draw(&mut self) -> String {
        let width = self.rows.keys().map(String::len).max().unwrap_or(0);
        let mut text = match self.drawn {
            0 => String::new(),
            rows => format!("\x1b[{rows}A"),
        };
        for (topic, (updates, words)) in &self.rows {
            let words: String = words.chars().take(WORDS_MAX).collect();
            text.push_str(&format!("\x1b[2K{topic:width$} {updates:>8}  {words}\n"));
        }
        self.drawn = self.rows.len();
        text
    }
}

/// Longer lines would wrap, and then be drawn in the wrong place.
const WORDS_MAX: usize = 72;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_drawn_over_themselves() {
        let mut table = Table::default();
        table.update("b", "1");
        assert!(!table.draw().contains("\x1b[1A"));
        table.update("a", "2");
        let drawn = table.draw();
        assert!(drawn.starts_with("\x1b[1A") && drawn.find("a ") < drawn.find("b "));
        assert_eq!(drawn.matches('\n').count(), 2);
    }
}
