//! How many entries each feed has, and whether one shrank by more than a mistake of its maker should cost.
//!
//! A feed is written by somebody else, mostly by a job at night. One that comes empty, or cut, is a valid list of nobody:
//! everybody on it would be let in. So it is refused until a person says that it is meant.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};

use crate::policy::Sources;
use crate::policy::file;
use crate::policy::reader::Report;
use crate::policy::sources::FEED_BYTES_MAX;

/// A feed may lose at most this share of its entries, in percent, from one reading to the next, unless it is confirmed.
pub const SHRINK_PERCENT_MAX: u64 = 50;

/// Unpacked, a feed is counted up to so many bytes.
const UNPACKED_BYTES_MAX: u64 = FEED_BYTES_MAX as u64;

/// What the feeds of one set hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Feeds {
    /// By file: how many entries.
    entries: BTreeMap<String, u64>,
    /// By rule: its file.
    rules: BTreeMap<String, String>,
}

/// A feed that lost more than is taken unasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    file: String,
    before: u64,
    after: u64,
}

impl Feeds {
    /// Counts the feeds that the rules of `sources` name.
    pub fn of(sources: &Sources) -> Self {
        let report = Report::new(sources.texts().collect());
        let mut feeds = Self::default();
        for list in file::read(&report).lists {
            let Some(file) = list.matchers.file.map(|file| file.value) else { continue };
            let Some(bytes) = sources.bytes(&file) else { continue };
            feeds.entries.entry(file.clone()).or_insert_with(|| entries(bytes));
            feeds.rules.insert(list.head.name.value.to_string(), file);
        }
        feeds
    }

    /// Each rule that has a feed, the feed's name below the policy directory, and how many entries it has.
    pub fn by_rule(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.rules.iter().map(|(rule, file)| (rule.as_str(), file.as_str(), self.entries[file]))
    }

    /// Which of these feeds have lost too much in `after`. A feed that no rule names any more was taken out by a person.
    pub fn shrunk(&self, after: &Self) -> Vec<Shrunk> {
        let shrunk = self.entries.iter().filter_map(|(file, &before)| {
            let &after = after.entries.get(file)?;
            let lost = before.saturating_sub(after);
            (lost * 100 > before * SHRINK_PERCENT_MAX).then(|| Shrunk { file: file.clone(), before, after })
        });
        shrunk.collect()
    }
}

/// Why they are not taken, as diagnostics read; `directory` is what is printed before each name.
pub fn complaint(shrunk: &[Shrunk], directory: &str) -> String {
    let not_taken = format!(": more than {SHRINK_PERCENT_MAX} % is not taken unasked");
    let help = "whoever was listed would be let in; if it is meant: `signgate reload --confirm-shrink`";
    let text = told(shrunk, directory, ("error", &not_taken, help));
    text.trim_end().to_owned()
}

/// The same of feeds that shrank while no gateway ran, and are taken: a person started it.
pub fn warning(shrunk: &[Shrunk], directory: &str) -> String {
    let help = "whoever was listed is let in; if it is not meant, put the feed right or `signgate rollback`";
    told(shrunk, directory, ("warning", " since it was last in force", help))
}

fn told(shrunk: &[Shrunk], directory: &str, (severity, more, help): (&str, &str, &str)) -> String {
    let mut text = String::new();
    for Shrunk { file, before, after } in shrunk {
        let percent = (before - after) * 100 / before;
        let _ = write!(
            text,
            "{severity}: the feed shrank from {before} entries to {after}, by {percent} %{more}\n --> {}/{file}\nhelp: {help}\n",
            directory.trim_end_matches('/')
        );
    }
    text
}

/// The lines that list something, packed or not. What is not a feed at all is for compiling to say.
fn entries(bytes: &[u8]) -> u64 {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        count(BufReader::new(flate2::read::MultiGzDecoder::new(bytes).take(UNPACKED_BYTES_MAX)))
    } else {
        count(bytes)
    }
}

fn count(mut lines: impl BufRead) -> u64 {
    let mut count = 0;
    let mut line = Vec::new();
    while matches!(lines.read_until(b'\n', &mut line), Ok(1..)) {
        let entry = line.split(|byte| matches!(byte, b'#' | b';')).next().unwrap_or_default();
        count += u64::from(!entry.trim_ascii().is_empty());
        line.clear();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn feeds(feed: impl Into<Vec<u8>>) -> Feeds {
        let mut sources = Sources::new("policies");
        sources.insert(
            "10.toml",
            "format = 1\n[tier.anonymous]\nclass = \"none\"\n[[blocklist]]\nname = \"bad\"\nfile = \"a.netset\"\n",
        );
        sources.insert("a.netset", feed);
        Feeds::of(&sources)
    }

    fn listed(count: usize) -> String {
        (0..count).fold(String::new(), |text, n| format!("{text}10.0.{}.{} # seen today\n", n / 256, n % 256))
    }

    #[test]
    fn entries_are_lines_that_list_something_packed_or_not() {
        let text = "# a comment\n\n10.0.0.0/8\n  ; another\n192.0.2.1 # with words\n2001:db8::/32";
        let counted =
            |feeds: &Feeds| feeds.by_rule().map(|(rule, _, count)| (rule.to_owned(), count)).collect();
        let counts: Vec<_> = counted(&feeds(text));
        assert_eq!(counts, [("bad".to_owned(), 3)]);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(text.as_bytes()).unwrap();
        let counts: Vec<_> = counted(&feeds(packed.finish().unwrap()));
        assert_eq!(counts, [("bad".to_owned(), 3)]);
        let counts: Vec<_> = counted(&feeds([0x1f, 0x8b, 1, 2, 3]));
        assert_eq!(counts, [("bad".to_owned(), 0)], "broken: for compiling to say");
    }

    #[test]
    fn more_than_half_is_too_much() {
        let before = feeds(listed(1_000));
        assert_eq!(before.shrunk(&feeds(listed(500))), []);
        assert_eq!(before.shrunk(&feeds(listed(2_000))), []);
        let shrunk = before.shrunk(&feeds(listed(499)));
        assert_eq!(shrunk, [Shrunk { file: "a.netset".into(), before: 1_000, after: 499 }]);
        assert_eq!(before.shrunk(&feeds("# nobody today\n")).len(), 1);
        assert_eq!(feeds("").shrunk(&feeds("")), [], "an empty feed stays empty");
        assert_eq!(before.shrunk(&Feeds::default()), [], "taken out by a person");
        let text = complaint(&shrunk, "policies");
        assert!(text.contains(" --> policies/a.netset\nhelp: ") && text.contains("by 50 %"), "{text}");
    }
}
