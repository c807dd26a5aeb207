//! Tables and values as they are read: each asks for what it expects, and complains at its place of what it finds.

use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{At, Report, Spot, TableDoc};
use crate::base::time::Timestamp;
use crate::policy::diagnostic::{Diagnostic, closest, quoted, quoted_list};

/// A table that is being read.
pub struct Table<'r> {
    report: &'r Report<'r>,
    what: String,
    spot: Spot,
    fields: &'r DeTable<'r>,
    asked: Vec<&'static str>,
    /// Everything that may stand in it; where it has none, what was asked for is what is known.
    doc: Option<&'static TableDoc>,
    /// Whether it stands in a table that has a doc, and so must have one.
    needs_doc: bool,
    secret: bool,
    top: bool,
    /// Names that belong into another file, and into which.
    elsewhere: (&'static [&'static str], &'static str),
}

impl<'r> Table<'r> {
    fn new(report: &'r Report<'r>, what: String, spot: Spot, fields: &'r DeTable<'r>) -> Self {
        Self {
            report,
            what,
            spot,
            fields,
            asked: Vec::new(),
            doc: None,
            needs_doc: false,
            secret: false,
            top: false,
            elsewhere: (&[], ""),
        }
    }

    /// Reads the top table of a document.
    pub(super) fn of_document<T>(
        report: &'r Report<'r>,
        what: &str,
        file: u16,
        document: &'r DeTable<'r>,
        read: impl FnOnce(&mut Table<'_>) -> T,
    ) -> T {
        let spot = Spot { file, start: 0, end: 0 };
        let mut table = Self { top: true, ..Self::new(report, what.into(), spot, document) };
        let result = read(&mut table);
        table.refuse_unknown();
        result
    }

    /// Where its header stands.
    pub fn spot(&self) -> Spot {
        self.spot
    }

    /// What diagnostics call it.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Adds an error at a place.
    pub fn error(&self, spot: Spot, make: impl FnOnce() -> Diagnostic) {
        self.report.error(spot, make);
    }

    /// Takes a doc for what may stand in it: all of it is asked for, and nothing else.
    pub fn follow(&mut self, doc: &'static TableDoc) {
        self.doc = Some(doc);
    }

    /// Names of fields that people write here and that belong elsewhere: `place` says where.
    pub fn elsewhere(&mut self, names: &'static [&'static str], place: &'static str) {
        self.elsewhere = (names, place);
    }

    fn ask(&mut self, field: &'static str) {
        debug_assert!(
            self.doc.is_none_or(|doc| doc.has(field)),
            "`{field}` is missing in the doc of {}",
            self.what
        );
        self.asked.push(field);
    }

    fn value_of(&self, field: &'r str, value: &'r Spanned<DeValue<'r>>) -> Value<'r> {
        Value { needs_doc: self.doc.is_some(), ..Value::new(self.report, field, value, self.spot.file) }
    }

    /// Marks it as a place where people put secrets: the lines of unknown fields are not shown.
    pub fn hide_unknown(&mut self) {
        self.secret = true;
    }

    /// Reads a field that may be left out. `None` where it is, and where it is wrong, which has been said then.
    pub fn optional<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(Value<'r>) -> Option<T>,
    ) -> Option<At<T>> {
        self.ask(field);
        let value = self.value_of(field, self.fields.get(field)?);
        let spot = value.spot;
        read(value).map(|value| At { value, spot })
    }

    /// Reads a field that must be there.
    pub fn required<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(Value<'r>) -> Option<T>,
    ) -> Option<At<T>> {
        if !self.has(field) {
            self.ask(field);
            self.report.error(self.spot, || {
                let known = self.doc.and_then(|doc| doc.fields.iter().find(|known| known.name == field));
                let label = match known {
                    // Some kinds are no more than the field's name.
                    Some(known) if known.kind != field => format!("`{field}` is missing: {}", known.kind),
                    _ => format!("`{field}` is missing"),
                };
                Diagnostic::error(format!("{} has no `{field}`", self.what)).label(label)
            });
            return None;
        }
        self.optional(field, read)
    }

    /// Whether the field is there.
    pub fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// Whether there is a field that has not been asked for so far.
    pub fn has_unknown(&self) -> bool {
        self.fields.keys().any(|key| !self.asked.contains(&key.get_ref().as_ref()))
    }

    /// Refuses a field or a table that a later version will know: nothing is accepted that is not enforced.
    pub fn unsupported(&mut self, field: &'static str, shown: &str) {
        let Some((key, _)) = self.fields.get_key_value(field) else { return };
        self.asked.push(field);
        self.report.error(spot(self.spot.file, &key.span()), || {
            Diagnostic::error(format!("`{shown}` is not supported by this version yet"))
                .label("would not be enforced")
                .help("take it out: nothing is accepted that is not enforced")
        });
    }

    /// Reads an array of tables: `[[field]]`.
    pub fn many(&mut self, field: &'static str, mut read: impl FnMut(&mut Table<'r>)) {
        self.ask(field);
        let Some(value) = self.fields.get(field) else { return };
        let what = format!("`[{}]`", self.inner(field).trim_matches('`'));
        let value = self.value_of(field, value);
        match value.found {
            DeValue::Array(items) => {
                for item in items {
                    let item = Value { item: true, ..self.value_of(field, item) };
                    item.open(what.clone(), &mut read);
                }
            }
            _ => value.wrong_type("an array of tables", || {
                Some(format!("each `{field}` has a header of its own, in double brackets: {what}"))
            }),
        }
    }

    /// What diagnostics call a table in it: `[generator.judge]`.
    pub fn inner(&self, field: &str) -> String {
        match (self.top, self.what.trim_matches(['`', '[', ']'])) {
            (true, _) => format!("`[{field}]`"),
            (false, around) => format!("`[{around}.{field}]`"),
        }
    }

    /// Reads a table that stands once, and that `doc` describes.
    pub fn single(&mut self, field: &'static str, doc: &'static TableDoc, read: impl FnOnce(&mut Table<'r>)) {
        self.optional(field, |value| {
            if matches!(value.found, DeValue::Array(_)) {
                return value.refuse(|| {
                    Diagnostic::error(format!("there is one `{field}` only"))
                        .label(format!("expected single brackets: `{}`", doc.header))
                });
            }
            value.open(format!("`{}`", doc.header), |table| {
                table.follow(doc);
                read(table);
            })
        });
    }

    /// Reads a table of tables: `[field.NAME]`.
    pub fn named(&mut self, field: &'static str, mut read: impl FnMut(At<&'r str>, &mut Table<'r>)) {
        self.ask(field);
        let Some(value) = self.fields.get(field) else { return };
        let value = self.value_of(field, value);
        let DeValue::Table(tables) = value.found else {
            return value
                .wrong_type("a table", || Some(format!("its name stands in the header: `[{field}.NAME]`")));
        };
        for (key, inner) in tables {
            let name = At { value: key.get_ref().as_ref(), spot: spot(self.spot.file, &key.span()) };
            let inner = self.value_of(field, inner);
            if matches!(inner.found, DeValue::Table(_)) {
                inner.open(format!("`[{field}.{}]`", quoted(name.value).trim_matches('`')), |table| {
                    table.spot = name.spot;
                    read(name, table);
                });
            } else {
                self.report.error(name.spot, || {
                    Diagnostic::error(format!("{} is not a table", quoted(name.value)))
                        .label(format!("expected a table of its own: `[{field}.NAME]`"))
                });
            }
        }
    }

    /// All entries, for tables whose field names are data.
    pub fn entries(&self) -> impl Iterator<Item = (At<&'r str>, Value<'r>)> {
        let (report, file) = (self.report, self.spot.file);
        self.fields.iter().map(move |(key, value)| {
            let name = key.get_ref().as_ref();
            (At { value: name, spot: spot(file, &key.span()) }, Value::new(report, name, value, file))
        })
    }

    fn refuse_unknown(&self) {
        debug_assert!(self.doc.is_some() || !self.needs_doc, "{} has no doc", self.what);
        let known: Vec<&'static str> = match self.doc {
            Some(doc) => doc.fields.iter().map(|field| field.name).collect(),
            None => self.asked.clone(),
        };
        debug_assert!(
            known.iter().all(|field| self.asked.contains(field)),
            "{} is not read whole",
            self.what
        );
        for (key, value) in self.fields {
            let name = key.get_ref().as_ref();
            if known.contains(&name) || self.asked.contains(&name) {
                continue;
            }
            let is_table = self.top
                && match value.get_ref() {
                    DeValue::Table(_) => true,
                    DeValue::Array(items) => {
                        matches!(items.iter().next().map(Spanned::get_ref), Some(DeValue::Table(_)))
                    }
                    _ => false,
                };
            let kind = if is_table { "table" } else { "field" };
            let make = || {
                let wrong = Diagnostic::error(format!("unknown {kind} {} in {}", quoted(name), self.what))
                    .label(format!("expected {}", quoted_list(known.iter().copied())));
                let (names, place) = self.elsewhere;
                match closest(name, known.iter().copied()) {
                    _ if names.contains(&name) => wrong.help(format!("it stands {place}")),
                    Some(similar) => wrong.help(similar_exists(kind, similar)),
                    None => wrong,
                }
            };
            let spot = spot(self.spot.file, &key.span());
            if self.secret { self.report.error_unquoted(spot, make) } else { self.report.error(spot, make) }
        }
    }
}

/// A value that is being read.
#[derive(Clone, Copy)]
pub struct Value<'r> {
    report: &'r Report<'r>,
    field: &'r str,
    found: &'r DeValue<'r>,
    spot: Spot,
    item: bool,
    /// Whether a table in it must have a doc.
    needs_doc: bool,
}

impl<'r> Value<'r> {
    fn new(report: &'r Report<'r>, field: &'r str, value: &'r Spanned<DeValue<'r>>, file: u16) -> Self {
        Self {
            report,
            field,
            found: value.get_ref(),
            spot: spot(file, &value.span()),
            item: false,
            needs_doc: false,
        }
    }

    /// Where it stands.
    pub fn spot(self) -> Spot {
        self.spot
    }

    /// Complains of it; always `None`, so that a reader can end with it.
    pub fn refuse<T>(self, make: impl FnOnce() -> Diagnostic) -> Option<T> {
        self.report.error(self.spot, make);
        None
    }

    /// As [`refuse`](Self::refuse), without showing the line: it may hold a secret.
    pub fn refuse_unquoted<T>(self, make: impl FnOnce() -> Diagnostic) -> Option<T> {
        self.report.error_unquoted(self.spot, make);
        None
    }

    fn wrong_type(self, expected: &str, help: impl FnOnce() -> Option<String>) {
        self.report.error(self.spot, || Diagnostic { help: help(), ..self.of_wrong_type(expected) });
    }

    fn of_wrong_type(self, expected: &str) -> Diagnostic {
        let field = quoted(self.field);
        let subject = if self.item { format!("an item of {field}") } else { field };
        Diagnostic::error(format!("{subject} is {}", type_word(self.found)))
            .label(format!("expected {expected}"))
    }

    /// The text, where it is one; without a complaint.
    pub fn as_text(self) -> Option<&'r str> {
        match self.found {
            DeValue::String(text) => Some(text.as_ref()),
            _ => None,
        }
    }

    /// A text.
    pub fn text(self) -> Option<&'r str> {
        self.text_such_as(None)
    }

    /// A text that may be a secret, or be written where one stands: it is in no complaint, and its line is not shown.
    pub fn secret_text(self) -> Option<&'r str> {
        self.as_text().or_else(|| {
            self.report.error_unquoted(self.spot, || self.of_wrong_type("a text in quotes"));
            None
        })
    }

    /// A text, where numbers alone are none: the example is shown to whoever writes one.
    fn text_such_as(self, example: Option<&str>) -> Option<&'r str> {
        let DeValue::String(text) = self.found else {
            match (self.found, example) {
                (_, Some(example)) => {
                    self.wrong_type(&format!("a text in quotes such as `\"{example}\"`"), || None);
                }
                (DeValue::Integer(number), None) if number.radix() == 10 => {
                    self.wrong_type("a text in quotes", || {
                        Some(format!("write it in quotes: `\"{number}\"`"))
                    });
                }
                (_, None) => self.wrong_type("a text in quotes", || None),
            }
            return None;
        };
        Some(text.as_ref())
    }

    /// As [`parsed`](Self::parsed), of a text that needs more than the quotes around a number.
    pub fn parsed_such_as<T>(
        self,
        example: &str,
        parse: impl FnOnce(&'r str) -> Result<T, Diagnostic>,
    ) -> Option<T> {
        match parse(self.text_such_as(Some(example))?) {
            Ok(parsed) => Some(parsed),
            Err(diagnostic) => self.refuse(|| diagnostic),
        }
    }

    /// A text that `parse` reads.
    pub fn parsed<T>(self, parse: impl FnOnce(&'r str) -> Result<T, Diagnostic>) -> Option<T> {
        match parse(self.text()?) {
            Ok(parsed) => Some(parsed),
            Err(diagnostic) => self.refuse(|| diagnostic),
        }
    }

    /// One of some words.
    pub fn word<T: Copy>(self, what: &str, words: &[(&'static str, T)]) -> Option<T> {
        self.word_of(what, words, words.iter().map(|(word, _)| *word))
    }

    /// One of some words, of which `told` are named where it is none of them.
    pub fn word_of<T: Copy>(
        self,
        what: &str,
        words: &[(&'static str, T)],
        told: impl Iterator<Item = &'static str> + Clone,
    ) -> Option<T> {
        let DeValue::String(text) = self.found else {
            self.wrong_type(&quoted_list(told), || None);
            return None;
        };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| text == word) {
            return Some(*meaning);
        }
        self.refuse(|| unknown_word(what, text, told))
    }

    /// A whole number.
    pub fn whole(self, range: RangeInclusive<u32>) -> Option<u32> {
        let DeValue::Integer(number) = self.found else {
            self.wrong_type("a whole number", || {
                let alone = self.as_text().filter(|text| text.parse::<u32>().is_ok())?;
                Some(format!("write it without the quotes: `{alone}`"))
            });
            return None;
        };
        let parsed = u32::from_str_radix(number.as_str(), number.radix()).ok();
        parsed.filter(|number| range.contains(number)).or_else(|| {
            self.refuse(|| {
                Diagnostic::error(format!(
                    "{} is out of range: {}",
                    quoted(self.field),
                    quoted(&number.to_string())
                ))
                .label(format!(
                    "expected a whole number from {} to {}",
                    range.start(),
                    range.end()
                ))
            })
        })
    }

    /// `true` or `false`.
    pub fn boolean(self) -> Option<bool> {
        let DeValue::Boolean(truth) = self.found else {
            self.wrong_type("`true` or `false`", || None);
            return None;
        };
        Some(*truth)
    }

    /// A share of something, from 0 to 1.
    pub fn share(self) -> Option<f64> {
        self.number(0.0..=1.0)
    }

    /// A number, whole or not.
    pub fn number(self, range: RangeInclusive<f64>) -> Option<f64> {
        let expected = || format!("a number from {} to {}", range.start(), range.end());
        let text = match self.found {
            DeValue::Float(number) => number.as_str(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            _ => {
                self.wrong_type(&expected(), || None);
                return None;
            }
        };
        text.parse().ok().filter(|number| range.contains(number)).or_else(|| {
            self.refuse(|| {
                Diagnostic::error(format!("{} is out of range: {}", quoted(self.field), quoted(text)))
                    .label(format!("expected {}", expected()))
            })
        })
    }

    /// A point in time with its offset (TOML's offset date-time, RFC 3339), 1970 to 2554.
    pub fn time(self) -> Option<Timestamp> {
        let example = "expected a date and time such as `2027-01-01T00:00:00Z`";
        let at = match self.found {
            DeValue::Datetime(at) => at,
            DeValue::String(text) => {
                return self.refuse(|| {
                    let wrong = Diagnostic::error(format!("{} is a text in quotes", quoted(self.field)))
                        .label(example);
                    match Timestamp::parse_rfc3339(text) {
                        Some(_) => wrong.help("write it without the quotes"),
                        None => wrong,
                    }
                });
            }
            _ => {
                self.wrong_type("a date and time such as `2027-01-01T00:00:00Z`", || None);
                return None;
            }
        };
        if at.date.is_none() || at.time.is_none() || at.offset.is_none() {
            return self.refuse(|| {
                Diagnostic::error(format!("{} has no {}", quoted(self.field), missing_part(at)))
                    .label(example)
                    .help("the time zone is part of it: `Z` is UTC")
            });
        }
        Timestamp::parse_rfc3339(&at.to_string()).or_else(|| {
            self.refuse(|| {
                Diagnostic::error(format!("{} is out of range", quoted(self.field)))
                    .label("expected a time from 1970 to 2554")
            })
        })
    }

    /// An array, each item read; all wrong items are told. `None` where one is wrong.
    pub fn list<T>(
        self,
        count_max: usize,
        mut read: impl FnMut(Value<'r>) -> Option<T>,
    ) -> Option<Vec<At<T>>> {
        let DeValue::Array(items) = self.found else {
            self.wrong_type("an array", || match self.found {
                DeValue::String(text) => {
                    Some(format!("in brackets: `[\"{}\"]`", quoted(text).trim_matches('`')))
                }
                _ => None,
            });
            return None;
        };
        if items.len() > count_max {
            return self.refuse(|| {
                Diagnostic::error(format!("{} holds {} items", quoted(self.field), items.len()))
                    .label(format!("expected at most {count_max}"))
            });
        }
        let item = |item| Value { item: true, ..Value::new(self.report, self.field, item, self.spot.file) };
        let items = items.iter().map(item);
        let read: Vec<_> = items.map(|item| read(item).map(|value| At { value, spot: item.spot })).collect();
        read.into_iter().collect()
    }

    /// A table, whose unknown fields are told in the end.
    pub fn table<T>(self, what: String, read: impl FnOnce(&mut Table<'r>) -> Option<T>) -> Option<T> {
        self.open(what, read).flatten()
    }

    fn open<T>(self, what: String, read: impl FnOnce(&mut Table<'r>) -> T) -> Option<T> {
        let DeValue::Table(table) = self.found else {
            self.wrong_type("a table", || None);
            return None;
        };
        let table = Table::new(self.report, what, self.spot, table);
        let mut table = Table { needs_doc: self.needs_doc, ..table };
        let result = read(&mut table);
        table.refuse_unknown();
        Some(result)
    }

    /// A table whose field names are data.
    pub fn map<T>(self, expected: &str, read: impl FnOnce(&Table<'r>) -> Option<T>) -> Option<T> {
        let DeValue::Table(table) = self.found else {
            self.wrong_type(expected, || None);
            return None;
        };
        read(&Table::new(self.report, self.field.into(), self.spot, table))
    }
}

fn type_word(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text in quotes",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

fn missing_part(at: &toml::value::Datetime) -> &'static str {
    match (at.date, at.time) {
        (None, _) => "date",
        (_, None) => "time of day",
        _ => "time zone",
    }
}

/// "unknown scope `proxies`", with what was expected and what is similar.
pub fn unknown_word(what: &str, text: &str, words: impl Iterator<Item = &'static str> + Clone) -> Diagnostic {
    let wrong = Diagnostic::error(format!("unknown {what} {}", quoted(text)))
        .label(format!("expected {}", quoted_list(words.clone())));
    match closest(text, words) {
        Some(similar) => wrong.help(similar_exists(what, similar)),
        None => wrong,
    }
}

/// "a scope with a similar name exists: `proxy`".
pub fn similar_exists(what: &str, similar: &str) -> String {
    let article = if what.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {what} with a similar name exists: `{similar}`")
}

fn spot(file: u16, bytes: &Range<usize>) -> Spot {
    Spot { file, start: bytes.start as u32, end: bytes.end as u32 }
}
