//! A line read in one pass, where it is a plain one: what our own gateway and `simulate` write, and nearly everybody else.
//!
//! Plain is a line of printable ASCII without a backslash, whose known fields each hold what they should, once, with numbers
//! that need no rounding. Of everything else [`scan`] says that it is none, and `serde_json` reads it and words what is
//! wrong: this file may say no to any line, and must never say of one what `serde_json` does not. A test holds both equal.

use std::borrow::Cow;

use super::line::{HEADERS_MAX, Headers, Key, KeyFields, Line, Moment, Text};
use crate::base::lanes::Lanes;
use crate::base::time::Timestamp;

/// How deep values may be nested that nobody looks at.
const DEPTH_MAX: u32 = 8;

/// Numbers of so many digits fit 64 bits, whatever the digits.
const DIGITS_MAX: usize = 19;

/// Numbers of so many digits are exact in a binary fraction of 53 bits, and so is each power of ten among [`POWERS`].
const EXACT_DIGITS_MAX: usize = 15;

const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Reads a plain line into an empty one. `false`: it is not plain, and what was read of it is good for nothing.
pub(super) fn scan<'a>(text: &'a str, line: &mut Line<'a>, known: &mut Known) -> bool {
    // White space of JSON (RFC 8259 section 2): a form feed is none, though ASCII has it among its own.
    let text = text.trim_end_matches([' ', '\t', '\n', '\r']);
    let bytes = text.as_bytes();
    known.mark(bytes)
        && Scan { text, bytes, at: 0, quotes: &known.quotes, names: &mut known.names, last: 0 }
            .line(line)
            .is_some()
}

/// What is kept from line to line. Nothing that is read hangs on it, but how fast it is.
#[derive(Debug)]
pub(super) struct Known {
    /// Where the quotation marks of the line stand, a bit a byte: found for all of it at once, which costs less than looking
    /// for each.
    quotes: Vec<u64>,
    /// Names that were met, after one that is none: each line begins behind that. Lines of one writer have their names in one
    /// order, but for some that not every line has, so that of each it is asked first whether it is one of the two that came there
    /// before.
    names: Vec<Name>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            quotes: Vec::new(),
            names: vec![Name { word: 0, mask: u128::MAX, length: 0, field: Field::Other, next: [0; 2] }],
        }
    }
}

/// A name as it stands in a line, with its quotation marks and the colon after it, in up to 16 bytes.
#[derive(Debug, Clone, Copy)]
struct Name {
    /// These bytes as a number, and which bits of one they take.
    word: u128,
    mask: u128,
    length: usize,
    field: Field,
    /// The two that were looked up after it last.
    next: [u8; 2],
}

impl Name {
    /// `None`: it is longer.
    fn of(bytes: &[u8], field: Field) -> Option<Self> {
        let mut word = [0; 16];
        word.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let mask = u128::MAX >> (128 - 8 * bytes.len());
        Some(Self { word: u128::from_le_bytes(word), mask, length: bytes.len(), field, next: [0; 2] })
    }
}

/// So many names are known at most: our own records have 40.
const NAMES_MAX: usize = 64;

/// Bytes whose marks are held in one number.
const BLOCK: usize = 64;

impl Known {
    /// Marks the quotation marks of a line; `false` where it is not printable ASCII without a backslash.
    fn mark(&mut self, bytes: &[u8]) -> bool {
        self.quotes.clear();
        let mut plain = Lanes::YES;
        for block in bytes.chunks(BLOCK) {
            let marks = if let Some(whole) = block.first_chunk() {
                marks(whole, &mut plain)
            } else {
                let mut padded = [b' '; BLOCK];
                padded[..block.len()].copy_from_slice(block);
                marks(&padded, &mut plain)
            };
            self.quotes.push(marks);
        }
        plain.bits() == u16::MAX
    }
}

/// The quotation marks of a block; `plain` stays what it is where all of it is plain.
#[inline]
fn marks(block: &[u8; BLOCK], plain: &mut Lanes) -> u64 {
    let mut marks = 0;
    for (place, lanes) in block.as_chunks().0.iter().map(Lanes::of).enumerate() {
        marks |= u64::from(lanes.are(b'"').bits()) << (place * Lanes::COUNT);
        *plain = plain.and(lanes.are_within(b' ', b'~')).and_not(lanes.are(b'\\'));
    }
    marks
}

struct Scan<'a, 'q> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    quotes: &'q [u64],
    names: &'q mut Vec<Name>,
    /// The name that was read last.
    last: usize,
}

/// The first eight bytes of a name as a number, the rest of a shorter one zero.
const fn first_bytes(name: &[u8]) -> u64 {
    let mut word = 0;
    let mut place = 0;
    while place < name.len() && place < 8 {
        word |= (name[place] as u64) << (8 * place);
        place += 1;
    }
    word
}

/// The fields that are looked at. Their names are told apart by their first eight bytes, in a few comparisons of numbers.
macro_rules! fields {
    ($($field:ident = $name:literal,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Field {
            $($field,)*
            /// One that nobody looks at.
            Other,
        }

        impl Field {
            #[inline]
            fn of(name: &str) -> Self {
                mod words {
                    $(#[expect(non_upper_case_globals, reason = "named like the field")]
                    pub(super) const $field: u64 = super::first_bytes($name.as_bytes());)*
                }
                let bytes = name.as_bytes();
                let word = match bytes.first_chunk() {
                    Some(first) => u64::from_le_bytes(*first),
                    None => first_bytes(bytes),
                };
                let (field, whole) = match word {
                    $(words::$field => (Self::$field, $name),)*
                    _ => return Self::Other,
                };
                if name == whole { field } else { Self::Other }
            }
        }
    };
}

fields! {
    Time = "time",
    Seq = "seq",
    Nanos = "nanos",
    Format = "format",
    DurationMs = "duration_ms",
    Policy = "policy",
    RequestId = "request_id",
    Client = "client",
    ClientPrefix = "client_prefix",
    Key = "key",
    KeyUnknown = "key_unknown",
    KeyBarredS = "key_barred_s",
    Method = "method",
    Target = "target",
    Url = "url",
    UserAgent = "user_agent",
    Headers = "headers",
    Session = "session",
    Room = "room",
    AnswerRoom = "answer_room",
    Outcome = "outcome",
    Refunded = "refunded",
    TurnedAway = "turned_away",
    Verdict = "verdict",
    By = "by",
    Rule = "rule",
    Share = "share",
    Event = "event",
    Order = "order",
    // Of a key.
    Id = "id",
    Account = "account",
    Tier = "tier",
}

impl<'a> Scan<'a, '_> {
    fn line(&mut self, line: &mut Line<'a>) -> Option<()> {
        let mut seen = 0u32;
        self.object(|scan, field| {
            if field != Field::Other {
                let bit = 1 << field as u32;
                // Once each.
                if seen & bit != 0 {
                    return None;
                }
                seen |= bit;
            }
            match field {
                Field::Time => line.time = scan.moment()?,
                Field::Seq => scan.put(&mut line.seq, Self::unsigned)?,
                Field::Nanos => {
                    scan.put(&mut line.nanos, |scan| u32::try_from(scan.unsigned()?).ok())?;
                }
                Field::Format => scan.put(&mut line.format, Self::unsigned)?,
                Field::DurationMs => scan.put(&mut line.duration_ms, Self::fraction)?,
                Field::Policy => scan.put(&mut line.policy, Self::text)?,
                Field::RequestId => scan.put(&mut line.request_id, Self::text)?,
                Field::Client => scan.put(&mut line.client, Self::text)?,
                Field::ClientPrefix => {
                    scan.put(&mut line.client_prefix, |scan| u8::try_from(scan.unsigned()?).ok())?;
                }
                Field::Key => line.key = scan.key_or_null()?,
                Field::KeyUnknown => scan.put(&mut line.key_unknown, Self::boolean)?,
                Field::KeyBarredS => scan.put(&mut line.key_barred_s, Self::unsigned)?,
                Field::Method => scan.put(&mut line.method, Self::text)?,
                Field::Target => scan.put(&mut line.target, Self::text)?,
                Field::Url => scan.put(&mut line.url, Self::text)?,
                Field::UserAgent => scan.put(&mut line.user_agent, Self::text)?,
                Field::Headers => scan.put(&mut line.headers, Self::headers)?,
                Field::Session => scan.put(&mut line.session, Self::text)?,
                Field::Room => scan.put(&mut line.room, Self::text)?,
                Field::AnswerRoom => scan.put(&mut line.answer_room, Self::text)?,
                Field::Outcome => scan.put(&mut line.outcome, Self::text)?,
                Field::Refunded => scan.put(&mut line.refunded, Self::boolean)?,
                Field::TurnedAway => scan.put(&mut line.turned_away, Self::boolean)?,
                Field::Verdict => scan.put(&mut line.verdict, Self::text)?,
                Field::By => scan.put(&mut line.by, Self::text)?,
                Field::Rule => scan.put(&mut line.rule, Self::text)?,
                Field::Share => scan.put(&mut line.share, Self::fraction)?,
                Field::Event => scan.put(&mut line.event, Self::text)?,
                Field::Order => scan.put(&mut line.order, Self::text)?,
                Field::Id | Field::Account | Field::Tier | Field::Other => scan.pass_over(DEPTH_MAX)?,
            }
            Some(())
        })?;
        // The time must be there; nothing may follow.
        (seen & 1 << Field::Time as u32 != 0 && self.at == self.bytes.len()).then_some(())
    }

    /// The next byte that is no space, and is not passed over.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at)? {
                b' ' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }

    /// Passes over the next byte that is no space, which must be this one.
    #[inline]
    fn eat(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }

    #[inline]
    fn object(&mut self, mut field: impl FnMut(&mut Self, Field) -> Option<()>) -> Option<()> {
        self.eat(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let name = self.name()?;
            field(self, name)?;
            let end = self.peek()?;
            self.at += 1;
            match end {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Passes over a name and the colon behind it; tells which field it is.
    #[inline]
    fn name(&mut self) -> Option<Field> {
        if let Some(here) = self.bytes.get(self.at..)?.first_chunk() {
            for next in self.names[self.last].next.map(usize::from) {
                let name = &self.names[next];
                if (u128::from_le_bytes(*here) ^ name.word) & name.mask == 0 {
                    self.at += name.length;
                    self.last = next;
                    return Some(name.field);
                }
            }
        }
        self.unforeseen_name()
    }

    #[inline(never)]
    fn unforeseen_name(&mut self) -> Option<Field> {
        self.peek()?;
        let from = self.at;
        let name = self.string()?;
        let field = Field::of(name);
        self.eat(b':')?;
        // Without a space in it, which may stand there in any number.
        if self.at - from == name.len() + 3
            && let Some(name) = Name::of(&self.bytes[from..self.at], field)
        {
            let known =
                self.names.iter().position(|known| (known.word, known.mask) == (name.word, name.mask));
            let place = known.unwrap_or(self.names.len());
            if place < NAMES_MAX {
                if known.is_none() {
                    self.names.push(name);
                }
                let next = &mut self.names[self.last].next;
                // It may have been foreseen, at the end of a line that has no sixteen bytes left.
                if next[0] != place as u8 {
                    *next = [place as u8, next[0]];
                }
                self.last = place;
            }
        }
        Some(field)
    }

    /// A text: nothing in a plain line can be escaped.
    #[inline]
    fn string(&mut self) -> Option<&'a str> {
        self.eat(b'"')?;
        let from = self.at;
        let to = self.quote()?;
        self.at = to + 1;
        self.text.get(from..to)
    }

    /// Where the next quotation mark stands.
    #[inline]
    fn quote(&self) -> Option<usize> {
        let mut block = self.at / BLOCK;
        let mut marks = *self.quotes.get(block)? & u64::MAX << (self.at % BLOCK);
        while marks == 0 {
            block += 1;
            marks = *self.quotes.get(block)?;
        }
        Some(block * BLOCK + marks.trailing_zeros() as usize)
    }

    #[inline]
    fn text(&mut self) -> Option<Text<'a>> {
        self.string().map(|text| Text(Cow::Borrowed(text)))
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    /// Reads a value into its place; `null` leaves it empty.
    #[inline]
    fn put<T>(&mut self, place: &mut Option<T>, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<()> {
        if self.peek()? == b'n' {
            return self.word("null");
        }
        *place = Some(read(self)?);
        Some(())
    }

    fn boolean(&mut self) -> Option<bool> {
        match self.peek()? {
            b't' => self.word("true").map(|()| true),
            b'f' => self.word("false").map(|()| false),
            _ => None,
        }
    }

    /// Digits, at least one, and their value; `None` beyond what always fits.
    #[inline]
    fn digits(&mut self, mut value: u64) -> Option<(u64, usize)> {
        let from = self.at;
        while let Some(digit @ 0..=9) = self.bytes.get(self.at).map(|byte| byte.wrapping_sub(b'0')) {
            value = value.wrapping_mul(10).wrapping_add(digit.into());
            self.at += 1;
        }
        let count = self.at - from;
        (1..=DIGITS_MAX).contains(&count).then_some((value, count))
    }

    /// A whole number that is not negative. What makes it a fraction is met by whoever reads on.
    #[inline]
    fn unsigned(&mut self) -> Option<u64> {
        let first = self.peek()?;
        let (value, count) = self.digits(0)?;
        (count == 1 || first != b'0').then_some(value)
    }

    /// A number that is not negative and exact: then every way of reading it comes to the same.
    fn fraction(&mut self) -> Option<f64> {
        let from = self.at;
        let value = self.unsigned()?;
        if self.bytes.get(self.at) != Some(&b'.') {
            return Some(value as f64);
        }
        self.at += 1;
        let (value, places) = self.digits(value)?;
        let exact = self.at - from <= EXACT_DIGITS_MAX;
        exact.then(|| value as f64 / POWERS[places])
    }

    fn moment(&mut self) -> Option<Moment> {
        if self.peek()? == b'"' {
            return Timestamp::parse_rfc3339(self.string()?).map(Moment);
        }
        Moment::of_millis(self.unsigned()?)
    }

    fn key_or_null(&mut self) -> Option<Key<'a>> {
        if self.peek()? == b'n' { self.word("null").map(|()| Key::None) } else { self.key().map(Key::Known) }
    }

    fn key(&mut self) -> Option<KeyFields<'a>> {
        let (mut id, mut account, mut tier) = (None, None, None);
        self.object(|scan, field| {
            let place = match field {
                Field::Id => &mut id,
                Field::Account => &mut account,
                Field::Tier => &mut tier,
                _ => return None,
            };
            if place.is_some() {
                return None;
            }
            *place = Some(scan.text()?);
            Some(())
        })?;
        Some(KeyFields { id: id?, account: account?, tier: tier? })
    }

    fn headers(&mut self) -> Option<Headers<'a>> {
        let mut headers = Vec::new();
        self.eat(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(Headers(headers));
        }
        loop {
            let name = self.text()?;
            self.eat(b':')?;
            headers.push((name, self.text()?));
            let end = self.peek()?;
            self.at += 1;
            match end {
                b',' if headers.len() < HEADERS_MAX => {}
                b'}' => return Some(Headers(headers)),
                _ => return None,
            }
        }
    }

    /// A value that nobody looks at.
    fn pass_over(&mut self, depth_left: u32) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'n' => self.word("null"),
            b't' | b'f' => self.boolean().map(drop),
            b'0'..=b'9' => self.number(),
            b'{' => {
                let deeper = depth_left.checked_sub(1)?;
                self.object(|scan, _| scan.pass_over(deeper))
            }
            b'[' => {
                let deeper = depth_left.checked_sub(1)?;
                self.at += 1;
                if self.peek()? == b']' {
                    self.at += 1;
                    return Some(());
                }
                loop {
                    self.pass_over(deeper)?;
                    let end = self.peek()?;
                    self.at += 1;
                    match end {
                        b',' => {}
                        b']' => return Some(()),
                        _ => return None,
                    }
                }
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<()> {
        self.unsigned()?;
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits(0)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What both make of a line.
    fn both(text: &str) -> (Option<Line<'_>>, Option<Line<'_>>) {
        let scanned = |known: &mut Known| {
            let mut line = Line::default();
            scan(text, &mut line, known).then_some(line)
        };
        let (mut nothing, mut ours) = (Known::default(), Known::default());
        scan(OURS, &mut Line::default(), &mut ours);
        let first = scanned(&mut nothing);
        assert_eq!(first, scanned(&mut ours), "after one of ours: {text}");
        // Now in its own order.
        assert_eq!(first, scanned(&mut nothing), "once more: {text}");
        assert_eq!(first, scanned(&mut ours), "after both: {text}");
        (first, serde_json::from_str(text).ok())
    }

    #[test]
    fn names_are_known_again_and_only_so_many_are_kept() {
        let mut known = Known::default();
        for _ in 0..2 {
            assert!(scan(OURS, &mut Line::default(), &mut known));
        }
        let names = known.names.len();
        assert!((30..NAMES_MAX).contains(&names), "{names}");
        for n in 0..2 * NAMES_MAX {
            let line = format!("{{\"x{n}\":1,\"time\":1}}");
            assert!(scan(&line, &mut Line::default(), &mut known), "{line}");
        }
        assert_eq!(known.names.len(), NAMES_MAX);
        assert!(scan(OURS, &mut Line::default(), &mut known));
    }

    const OURS: &str = r#"{"time":1795342463123,"nanos":5,"seq":7,"format":1,"duration_ms":81.402,"policy":"0fa10203040506ff","request_id":"01kb7xq2","client":"203.0.113.7","key":{"id":"k_7f3a","account":"overlay-suite","tier":"community"},"method":"GET","target":"/webcast/fetch?client=ttlive-python&room_id=7300000000000000001","user_agent":"TikTokLive.py/7.0.1","session":"087a1a74314a983ebfda93c737242cb3","room":"7300000000000000001","answer_room":"7","operation":"connect","status":429,"verdict":"throttle","shadow":"throttle","rule":"a-day","reasons":["a-day","a-minute"],"wait":90,"outcome":"refused","defect":"fallback host","lack":"shed","attempts":1,"refunded":false,"turned_away":true,"queue_ms":0,"generator_ms":81.5,"bytes_in":0,"bytes_out":43000,"share":0.25}"#;

    #[test]
    fn the_lines_that_are_written_are_plain() {
        for text in [
            OURS,
            &format!("{OURS}\r"),
            r#"{"time":1,"client":"203.0.113.7","key":null,"method":"GET","target":"/"}"#,
            r#"{ "time": "2027-01-01T00:00:00Z", "client": "::1", "headers": { "A": "b" }, "x": [1, {"y": []}, -0] }"#,
            r#"{"time":1,"nanos":0,"seq":8,"format":1,"event":"pardon","order":"@streamer 1h","detail":"by hand"}"#,
        ] {
            let (scanned, read) = both(text);
            assert_eq!(scanned.is_some(), !text.contains("-0"), "{text}");
            assert!(scanned.is_none() || scanned == read, "{text}");
            assert!(read.is_some(), "{text}");
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_other_reader() {
        for text in [
            "",
            "[1]",
            "{}",
            r#"{"client":"1.2.3.4"}"#,
            r#"{"time":1}x"#,
            "{\"time\":1}\u{c}",
            r#"{"time":1,}"#,
            r#"{"time":1,"time":1}"#,
            r#"{"time":1,"seq":1,"seq":null}"#,
            r#"{"time":01}"#,
            r#"{"time":1.5}"#,
            r#"{"time":1e3}"#,
            r#"{"time":-1}"#,
            r#"{"time":null}"#,
            r#"{"time":99999999999999999999}"#,
            r#"{"time":18446744073710}"#,
            r#"{"time":"soon"}"#,
            r#"{"time":1,"nanos":4294967296}"#,
            r#"{"time":1,"seq":1.0}"#,
            r#"{"time":1,"seq":"1"}"#,
            r#"{"time":1,"client_prefix":256}"#,
            r#"{"time":1,"client":5}"#,
            r#"{"time":1,"client":"a\u0062"}"#,
            r#"{"time":1,"client":"ä"}"#,
            "{\"time\":1,\"client\":\"a\tb\"}",
            "{\"time\":1,\t\"client\":\"a\"}",
            r#"{"time":1,"key":{"id":"a","account":"b"}}"#,
            r#"{"time":1,"key":{"id":"a","id":"a","account":"b","tier":"c"}}"#,
            r#"{"time":1,"key":["a","b","c"]}"#,
            r#"{"time":1,"duration_ms":0.1234567890123456}"#,
            r#"{"time":1,"duration_ms":1.}"#,
            r#"{"time":1,"refunded":1}"#,
            r#"{"time":1,"x":nul}"#,
            r#"{"time":1,"x":[1,]}"#,
            r#"{"time":1,"x":[[[[[[[[[]]]]]]]]]}"#,
        ] {
            assert!(both(text).0.is_none(), "{text}");
        }
    }

    /// Values as lines hold them, and as they should not.
    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            "\"[ -~]{0,40}\"",
            "\"[a-z0-9./?=&-]{0,80}\"",
            "(0|[1-9][0-9]{0,21})",
            "[0-9]{1,6}\\.[0-9]{1,12}",
            "-?[0-9]{1,3}(\\.[0-9]{1,2})?(e[+-]?[0-9])?",
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("false".to_owned()),
            Just("{\"id\":\"k\",\"account\":\"a\",\"tier\":\"t\"}".to_owned()),
            Just("{\"tier\":\"t\", \"id\":\"k\",\"account\":\"a\"}".to_owned()),
            Just("{\"x-a\":\"1\",\"X-B\":\"\"}".to_owned()),
            Just("[1, [\"two\"], {}]".to_owned()),
            Just("\"2027-01-01T00:00:00Z\"".to_owned()),
            Just("1795342463123".to_owned()),
        ]
    }

    fn field() -> impl Strategy<Value = String> {
        let names: Vec<&'static str> = "time nanos seq format duration_ms policy request_id client client_prefix key \
            key_unknown key_barred_s method target url user_agent headers session room answer_room outcome refunded \
            verdict by rule share event order label defect lack x"
            .split_whitespace()
            .collect();
        (proptest::sample::select(names), value(), 0usize..3)
            .prop_map(|(name, value, spaces)| format!("\"{name}\":{}{value}", " ".repeat(spaces)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_line_says_what_the_other_reader_finds(
            fields in proptest::collection::vec(field(), 0..6),
            with_time in any::<bool>(),
        ) {
            let mut fields = fields;
            if with_time {
                fields.retain(|field| !field.starts_with("\"time\""));
                fields.push("\"time\":1795342463123".to_owned());
            }
            let text = format!("{{{}}}", fields.join(","));
            let (scanned, read) = both(&text);
            prop_assert!(scanned.is_none() || scanned == read, "{text}: {scanned:?} {read:?}");
        }

        #[test]
        fn a_line_of_ours_with_one_byte_changed_says_no_more_than_the_other_reader_finds(
            at in 0..OURS.len(), byte in 0u8..0x80, cut in any::<bool>(),
        ) {
            let mut bytes = OURS.as_bytes().to_vec();
            bytes[at] = byte;
            if cut {
                bytes.truncate(at + 1);
            }
            let text = String::from_utf8(bytes).unwrap();
            let (scanned, read) = both(&text);
            prop_assert!(scanned.is_none() || scanned == read, "{text}: {scanned:?} {read:?}");
        }
    }
}
