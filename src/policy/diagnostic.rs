//! What is wrong with a file that a person wrote, said so that the person can mend it: where, what, and what to write.
//!
//! A [`Diagnostic`] is plain text from the moment it is made: everything quoted from a file is bounded and escaped when it
//! is taken ([`SourceText::span`], [`quoted`]), so that no line of a hostile feed can colour, clear or flood a terminal or a
//! log, and what looks like a key of ours is masked. Colour is deliberately absent: the same text goes to stderr, the log
//! and the console. Read [`Diagnostic`] first, then [`Diagnostics`], which collects them with a cap.
//!
//! The deployment file's reader uses these too.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::base::secret::KEY_PREFIX;

/// At most so many characters of a source line are shown.
const QUOTE_CHARS_MAX: usize = 100;

/// At most so many characters of a user's word are repeated in a message.
const WORD_CHARS_MAX: usize = 48;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, and does probably not mean what was meant.
    Warning,
}

impl Severity {
    /// The word that a diagnostic begins with.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing to tell the author of a file. Prints as several lines, without a newline at the end:
///
/// ```text
/// error: unknown scope `proxies`
///   --> policies/20-quotas.toml:14:9
///    |
/// 14 | scope = "proxies"
///    |         ^^^^^^^^^ expected `account`, `key`, `proxy`, …
///    |
/// help: a scope with a similar name exists: `proxy`
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: one line, lower case, the user's text in backticks.
    pub message: String,
    /// The file, as the operator knows it; `None` where it is about all files together.
    pub file: Option<Arc<str>>,
    /// Where in the file; `None` where it is about the whole file.
    pub span: Option<Box<Span>>,
    /// What stands beside the caret: mostly what was expected. May be empty.
    pub label: String,
    /// What to do about it, on a line of its own.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error without a place yet.
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message.into())
    }

    /// A warning without a place yet.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message.into())
    }

    fn new(severity: Severity, message: String) -> Self {
        Self { severity, message, file: None, span: None, label: String::new(), help: None }
    }

    /// About a whole file.
    #[must_use]
    pub fn in_file(mut self, file: &Arc<str>) -> Self {
        self.file = Some(Arc::clone(file));
        self
    }

    /// At a place in a file.
    #[must_use]
    pub fn at(mut self, source: &SourceText<'_>, bytes: Range<usize>) -> Self {
        self.file = Some(Arc::clone(source.name()));
        self.span = Some(Box::new(source.span(bytes)));
        self
    }

    /// With words beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With a way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With its line's text left out, where the text may be a secret that somebody wrote in the wrong place.
    #[must_use]
    pub fn unquoted(mut self) -> Self {
        if let Some(span) = &mut self.span {
            span.quote = None;
        }
        self
    }

    /// Makes an error of a warning.
    pub fn deny(&mut self) {
        self.severity = Severity::Error;
    }

    /// Whether the file cannot be used.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// By file, line and column; what is about no file comes last.
    fn order(&self) -> (bool, Option<&str>, u32, u32, Severity, &str) {
        let (line, column) = self.span.as_ref().map_or((0, 0), |span| (span.line, span.column));
        (self.file.is_none(), self.file.as_deref(), line, column, self.severity, &self.message)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity.word(), self.message)?;
        let mut gutter = String::new();
        if let Some(file) = &self.file {
            let file = escaped(file, QUOTE_CHARS_MAX);
            match &self.span {
                None => write!(f, "\n --> {file}")?,
                Some(span) => {
                    let line = span.line.to_string();
                    gutter = " ".repeat(line.len());
                    write!(f, "\n{gutter}--> {file}:{line}:{}", span.column)?;
                    if let Some(quote) = &span.quote {
                        write!(f, "\n{gutter} |\n{line} | {}\n{gutter} | ", quote.text)?;
                        write!(f, "{}{}", " ".repeat(quote.caret_at), "^".repeat(quote.caret_length))?;
                        if !self.label.is_empty() {
                            write!(f, " {}", self.label)?;
                        }
                    } else if !self.label.is_empty() {
                        write!(f, "\n{gutter} = {}", self.label)?;
                    }
                }
            }
        }
        match &self.help {
            Some(help) if self.span.is_some() => write!(f, "\n{gutter} |\nhelp: {help}"),
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

/// A place in a file, with the line's text as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// In characters, at least 1, never beyond the line's end.
    pub length: u32,
    /// The line, bounded and escaped; `None` where it may hold a secret.
    pub quote: Option<Quote>,
}

/// A source line as it may be shown: at most about 100 characters, nothing in it that a terminal obeys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// The text.
    pub text: String,
    /// How many characters of `text` stand before the caret.
    pub caret_at: usize,
    /// How many carets, at least 1.
    pub caret_length: usize,
}

/// A file's text, with the name that its operator knows it by, and where its lines begin.
#[derive(Debug)]
pub struct SourceText<'s> {
    name: Arc<str>,
    text: &'s str,
    line_starts: Vec<usize>,
}

impl<'s> SourceText<'s> {
    /// Takes the text in, and finds its lines.
    pub fn new(name: Arc<str>, text: &'s str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { name, text, line_starts: std::iter::once(0).chain(starts).collect() }
    }

    /// The name, with its directory.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &'s str {
        self.text
    }

    /// The line that the byte stands in, from 1.
    pub fn line(&self, byte: usize) -> u32 {
        self.line_starts.partition_point(|start| *start <= byte) as u32
    }

    /// The place of some bytes. Bytes beyond the text or amid a character are taken for the nearest before.
    pub fn span(&self, bytes: Range<usize>) -> Span {
        let start = boundary(self.text, bytes.start);
        let line = self.line(start);
        let line_start = self.line_starts[line as usize - 1];
        let rest = &self.text[line_start..];
        let text = rest.find('\n').map_or(rest, |end| &rest[..end]);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let end = boundary(self.text, bytes.end.max(start)).min(line_start + text.len());
        line_span(line, text, start.min(line_start + text.len()) - line_start..end.max(start) - line_start)
    }
}

/// The place of some bytes of one line, whose text is given without its newline.
pub fn line_span(line: u32, text: &str, bytes: Range<usize>) -> Span {
    let start = boundary(text, bytes.start.min(text.len()));
    let end = boundary(text, bytes.end.clamp(start, text.len()));
    let before = text[..start].chars().count();
    let length = text[start..end].chars().count().max(1);
    let quote = quote(&masked(text), before, length);
    Span { line, column: before as u32 + 1, length: length as u32, quote: Some(quote) }
}

/// Of a file that is no text, at the first byte that is none.
pub fn not_utf8(bytes: &[u8], error: std::str::Utf8Error) -> Diagnostic {
    let before = &bytes[..error.valid_up_to()];
    let line = before.split(|byte| *byte == b'\n').count() as u32;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let length = bytes[start..].iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len() - start);
    let text = String::from_utf8_lossy(&bytes[start..start + length]);
    let at = before.len() - start;
    let wrong = Diagnostic::error("the file is not UTF-8").label("expected text in UTF-8");
    Diagnostic { span: Some(Box::new(line_span(line, &text, at..at + 1))), ..wrong }
}

/// The last character boundary that is not behind the byte.
pub(super) fn boundary(text: &str, byte: usize) -> usize {
    (0..=byte.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

/// Cuts a window out of the line around the place, and escapes it.
fn quote(line: &str, before: usize, length: usize) -> Quote {
    const LEAD: usize = 30;
    let count = line.chars().count();
    let from = if count <= QUOTE_CHARS_MAX { 0 } else { before.saturating_sub(LEAD) };
    let mut shown = Quote { text: String::new(), caret_at: 0, caret_length: 0 };
    let mut width = 0;
    if from > 0 {
        shown.text.push('…');
        width = 1;
    }
    for (at, character) in line.chars().enumerate().skip(from) {
        if width >= QUOTE_CHARS_MAX {
            shown.text.push('…');
            break;
        }
        let start = shown.text.len();
        push_escaped(&mut shown.text, character);
        let added = shown.text[start..].chars().count();
        width += added;
        if at < before {
            shown.caret_at += added;
        } else if at < before + length {
            shown.caret_length += added;
        }
    }
    shown.caret_at += usize::from(from > 0);
    shown.caret_length = shown.caret_length.max(1);
    shown
}

/// Appends a character, or its escape where a terminal would obey it or a reader be deceived by it: controls, separators,
/// spaces that look plain and are none, and the invisible and direction-changing characters (Unicode TR 36 section 2.4; CVE-2021-42574).
fn push_escaped(text: &mut String, character: char) {
    let deceives = matches!(character,
        '\u{a0}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}' | '\u{3000}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    match character {
        '\t' => text.push(' '),
        _ if character.is_control() || deceives => text.extend(character.escape_unicode()),
        _ => text.push(character),
    }
}

/// A text with what a terminal obeys escaped, of at most so many characters.
pub(super) fn escaped(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    for (count, character) in text.chars().enumerate() {
        if count >= chars_max {
            out.push('…');
            break;
        }
        push_escaped(&mut out, character);
    }
    out
}

/// A user's text in backticks, bounded, escaped and masked: how messages repeat it.
pub fn quoted(text: &str) -> String {
    // Masked in the part that can be shown, and a little beyond: a key cut in two must still be known for one.
    let end = boundary(text, text.len().min(WORD_CHARS_MAX * 8));
    format!("`{}`", escaped(&masked(&text[..end]), WORD_CHARS_MAX))
}

/// Several words in backticks, with commas, at most sixteen of them.
pub fn quoted_list<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    const SHOWN_MAX: usize = 16;
    let mut words = words.into_iter();
    let mut all: Vec<_> = words.by_ref().take(SHOWN_MAX).map(quoted).collect();
    if words.next().is_some() {
        all.push("…".into());
    }
    all.join(", ")
}

/// Stars over everything that looks like a key of ours: [`KEY_PREFIX`] and at least 8 letters or digits. A key belongs in no
/// policy, and so the line that it stands in is often the very one that is complained of.
fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(KEY_PREFIX) {
        let (before, from) = rest.split_at(at + KEY_PREFIX.len());
        let length = from.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(from.len());
        out.push_str(before);
        if length >= 8 {
            out.extend(std::iter::repeat_n('*', length));
        } else {
            out.push_str(&from[..length]);
        }
        rest = &from[length..];
    }
    out.push_str(rest);
    out
}

/// The known word that looks most like `word`; `None` where none does.
pub fn closest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // Of clap's kind: similar enough that a person would have meant it, and never a guess at random.
    const SIMILAR: f64 = 0.8;
    const WORD_BYTES_MAX: usize = 128;
    const KNOWN_MAX: usize = 2_000;
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let word = word.to_lowercase();
    let mut best: Option<(f64, &str)> = None;
    for candidate in known.into_iter().take(KNOWN_MAX) {
        let likeness = strsim::jaro_winkler(&word, candidate);
        if likeness >= SIMILAR && best.is_none_or(|(most, _)| likeness > most) {
            best = Some((likeness, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Collects diagnostics, at most [`Diagnostics::KEPT_MAX`] of each severity: a broken feed has millions of bad lines.
#[derive(Debug, Default)]
pub struct Diagnostics {
    kept: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl Diagnostics {
    /// So many errors, and so many warnings, are kept.
    pub const KEPT_MAX: usize = 100;

    /// Adds one. It is made only where it will be kept: finding a similar word costs.
    pub fn add(&mut self, severity: Severity, make: impl FnOnce() -> Diagnostic) {
        let count = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= Self::KEPT_MAX {
            self.kept.push(Diagnostic { severity, ..make() });
        }
    }

    /// Adds one that is made already.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.add(diagnostic.severity, || diagnostic);
    }

    /// Whether there is an error among them.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// All of them, by file and line, with a last one that counts those left out.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.kept.sort_by(|one, other| one.order().cmp(&other.order()));
        self.kept.dedup();
        for (severity, count) in [(Severity::Error, self.errors), (Severity::Warning, self.warnings)] {
            if let Some(more) = count.checked_sub(Self::KEPT_MAX).filter(|more| *more > 0) {
                let plural = if more == 1 { "" } else { "s" };
                let message = format!("{more} more {}{plural} not shown", severity.word());
                self.kept.push(Diagnostic::new(severity, message));
            }
        }
        self.kept
    }
}

/// All of them as one text, an empty line between two.
pub fn render(diagnostics: &[Diagnostic]) -> String {
    let mut text = String::new();
    for (place, diagnostic) in diagnostics.iter().enumerate() {
        if place > 0 {
            text.push('\n');
        }
        text.push_str(&diagnostic.to_string());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
