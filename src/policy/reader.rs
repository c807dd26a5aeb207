//! A typed walk over a TOML document that collects every diagnostic and knows where each value stands.
//!
//! **Why not serde.** toml's deserialiser stops at the first error, and an operator who mends a file wants to hear of all of
//! them; it has no words of ours (what was expected, which word is similar); and it knows an unknown field only by name.
//! So the document is parsed into toml's own spanned tree, with its recovery from syntax errors, and walked by hand: a
//! [`Table`] is asked for each field that it may have and complains at its end of those that nobody asked for, so that
//! what is read and what is accepted cannot drift apart.
//!
//! Read [`Report`], then [`Table`]. The deployment file can be read with these too.

mod doc;
mod syntax;
mod table;

use std::cell::RefCell;

use toml::de::DeTable;

pub use doc::{FieldDoc, LeftOut, TableDoc};
pub use table::{Table, Value, similar_exists, unknown_word};

use super::diagnostic::{Diagnostic, Diagnostics, Severity, SourceText, quoted};

/// So many syntax errors of one file are told: the first is the cause, and the rest mostly echo it.
const SYNTAX_ERRORS_MAX: usize = 5;

/// Some bytes of one of the files of a [`Report`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// Which file.
    pub file: u16,
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

/// A value and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub spot: Spot,
}

/// Some files, and what is wrong with them.
#[derive(Debug)]
pub struct Report<'s> {
    texts: Vec<SourceText<'s>>,
    found: RefCell<Diagnostics>,
}

impl<'s> Report<'s> {
    /// Nothing wrong yet.
    pub fn new(texts: Vec<SourceText<'s>>) -> Self {
        Self { texts, found: RefCell::default() }
    }

    /// The files.
    pub fn texts(&self) -> &[SourceText<'s>] {
        &self.texts
    }

    /// The file that a spot is in.
    pub fn text(&self, spot: Spot) -> &SourceText<'s> {
        &self.texts[usize::from(spot.file)]
    }

    /// `policies/20-quotas.toml:14`.
    pub fn place(&self, spot: Spot) -> String {
        let text = self.text(spot);
        format!("{}:{}", text.name(), text.line(spot.start as usize))
    }

    /// Adds an error at a place. `make` gives its words.
    pub fn error(&self, spot: Spot, make: impl FnOnce() -> Diagnostic) {
        self.add(Severity::Error, Some(spot), make);
    }

    /// Adds an error at a place whose text is not to be shown.
    pub fn error_unquoted(&self, spot: Spot, make: impl FnOnce() -> Diagnostic) {
        let bytes = spot.start as usize..spot.end as usize;
        self.add(Severity::Error, None, || make().at(self.text(spot), bytes).unquoted());
    }

    /// Adds a warning at a place. `make` gives its words.
    pub fn warn(&self, spot: Spot, make: impl FnOnce() -> Diagnostic) {
        self.add(Severity::Warning, Some(spot), make);
    }

    /// Adds an error that has its place already, or none. `make` is called only where it will be kept.
    pub fn error_placed(&self, make: impl FnOnce() -> Diagnostic) {
        self.add(Severity::Error, None, make);
    }

    /// Adds what has its place already, or none.
    pub fn push(&self, diagnostic: Diagnostic) {
        self.add(diagnostic.severity, None, || diagnostic);
    }

    fn add(&self, severity: Severity, spot: Option<Spot>, make: impl FnOnce() -> Diagnostic) {
        self.found.borrow_mut().add(severity, || match spot {
            Some(spot) => make().at(self.text(spot), spot.start as usize..spot.end as usize),
            None => make(),
        });
    }

    /// Whether an error was found.
    pub fn has_errors(&self) -> bool {
        self.found.borrow().has_errors()
    }

    /// Everything that was found, by file and line.
    pub fn into_sorted(self) -> Vec<Diagnostic> {
        self.found.into_inner().into_sorted()
    }

    /// Parses one file, and reads its top table. `None` where it is no TOML: nothing that a half-parsed file seems to say is
    /// worth a complaint.
    pub fn read<T>(
        &self,
        file: u16,
        what: &'static str,
        read: impl FnOnce(&mut Table<'_>) -> T,
    ) -> Option<T> {
        let text = &self.texts[usize::from(file)];
        let (document, errors) = DeTable::parse_recoverable(text.text());
        self.syntax_errors(text, &errors);
        if !errors.is_empty() {
            return None;
        }
        Some(Table::of_document(self, what, file, document.get_ref(), read))
    }
}

impl Report<'_> {
    /// The first error of each line, a few lines: recovery from one mistake mostly makes echoes of it.
    fn syntax_errors(&self, text: &SourceText<'_>, errors: &[toml::de::Error]) {
        let mut errors: Vec<_> =
            errors.iter().map(|error| (error.span().unwrap_or(0..0), error.message())).collect();
        errors.sort_by_key(|(bytes, _)| (bytes.start, bytes.end));
        // An array that is not closed swallows all lines after it: the place is where it begins, and the rest are echoes.
        if let Some(bracket) =
            errors.first().and_then(|(bytes, _)| syntax::unclosed(text.text(), bytes.start))
        {
            self.error_placed(|| {
                Diagnostic::error("the array is not closed")
                    .at(text, bracket..bracket + 1)
                    .label("expected a `]` for this bracket")
            });
            return;
        }
        errors.dedup_by_key(|(bytes, _)| text.line(bytes.start));
        for (bytes, message) in errors.into_iter().take(SYNTAX_ERRORS_MAX) {
            if let Some((header, name)) = (message == "duplicate key")
                .then(|| syntax::single_of_many(text.text(), bytes.start))
                .flatten()
            {
                self.error_placed(|| {
                    Diagnostic::error(format!(
                        "{} stands in single brackets and in double ones",
                        quoted(name)
                    ))
                    .at(text, header)
                    .label(format!("write `[[{name}]]`"))
                });
                continue;
            }
            let (message, expected) = in_our_words(message, bytes.is_empty());
            let label = expected.map_or(String::new(), |expected| format!("expected {expected}"));
            self.error_placed(|| Diagnostic::error(message).at(text, bytes).label(label));
        }
    }
}

/// What toml says, in an operator's words where those of its grammar mislead: `key` means something else to us.
fn in_our_words(message: &str, nothing_there: bool) -> (&str, Option<&str>) {
    let (message, expected) = match message.split_once(", expected ") {
        Some((message, expected)) => (message, Some(expected)),
        None => (message, None),
    };
    match message {
        "string values must be quoted" if nothing_there => {
            ("a value is missing", Some("a value after the `=`"))
        }
        "string values must be quoted" => ("a text has no quotes", Some("a text in quotes")),
        "duplicate key" => ("a name is given twice", Some("each field and each `[table]` once")),
        "key with no value" => ("a field has no value", expected),
        "invalid key-value pair" => {
            ("the line is no TOML", Some("`name = value`, or a header such as `[[quota]]`"))
        }
        "invalid unquoted key" => (
            "a field's name is not plain",
            Some("letters, digits, `-` and `_`, and plain spaces around them"),
        ),
        "invalid basic string" | "invalid literal string" => ("a text is not well-formed", expected),
        _ => (message, expected),
    }
}
