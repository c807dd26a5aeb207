//! What `check` prints: for a person, or one JSON object a line.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::stdout::print;
use crate::policy::diagnostic::render;
use crate::policy::diff::{Change, Weight};
use crate::policy::set::Digest;
use crate::policy::{Diagnostic, PolicySet};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a person.
    Text,
    /// For a program: one JSON object a line.
    Json,
}

/// Writes results to stdout and talk to stderr.
pub(in crate::cli) struct Output {
    format: Format,
    compared: Option<Compared>,
}

/// What a comparison came to.
struct Compared {
    changes: usize,
    against: Digest,
}

impl Output {
    pub(in crate::cli) fn new(format: Format) -> Self {
        Self { format, compared: None }
    }

    /// A line of JSON where JSON is asked for, else the text.
    pub(in crate::cli) fn result(
        &self,
        json: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        let line = match self.format {
            Format::Json => json().to_string(),
            Format::Text => text(),
        };
        print(&(line + "\n"))
    }

    pub(super) fn diagnostics(&self, diagnostics: &[Diagnostic]) -> anyhow::Result<()> {
        match self.format {
            Format::Text => eprint!("{}", render(diagnostics)),
            Format::Json => {
                for one in diagnostics {
                    self.result(|| diagnostic(one), String::new)?;
                }
            }
        }
        Ok(())
    }

    /// Groups, the most dangerous first. `policies`: of `against`, and of what is checked.
    pub(super) fn changes(
        &mut self,
        against: &Path,
        policies: (Digest, Digest),
        changes: &[Change],
    ) -> anyhow::Result<()> {
        self.compared = Some(Compared { changes: changes.len(), against: policies.0 });
        if self.format == Format::Json {
            for one in changes {
                self.result(|| change(one), String::new)?;
            }
            return Ok(());
        }
        let mut text = String::new();
        let mut last: Option<Weight> = None;
        for change in changes {
            if last != Some(change.weight) {
                text.push_str(if last.is_some() { "\n" } else { "" });
                text.push_str(change.weight.title());
                text.push('\n');
                last = Some(change.weight);
            }
            let name = if change.name.is_empty() { String::new() } else { format!(" `{}`", change.name) };
            let place =
                change.place.as_ref().map(|(file, line)| format!(" ({file}:{line})")).unwrap_or_default();
            let _ = writeln!(text, "  {}{name}{place}: {}", change.kind, change.text);
        }
        if changes.is_empty() {
            text = match policies {
                (before, after) if before == after => {
                    format!("nothing changes against {}: the files are the same", against.display())
                }
                (before, after) => format!(
                    "no verdict changes against {}: only order, comments, spelling or the names of files differ (policy {before} there, {after} here)",
                    against.display()
                ),
            };
        }
        self.result(|| Value::Null, || text.trim_end().to_owned())
    }

    /// The last word: how large the set is, and whether a gateway would take it.
    pub(super) fn summary(
        &self,
        name: &str,
        set: Option<&PolicySet>,
        diagnostics: &[Diagnostic],
    ) -> anyhow::Result<()> {
        let errors = diagnostics.iter().filter(|one| one.is_error()).count();
        let warnings = diagnostics.len() - errors;
        if self.format == Format::Json {
            return self.result(
                || {
                    json!({
                        "type": "summary",
                        "good": set.is_some(),
                        "errors": errors,
                        "warnings": warnings,
                        "changes": self.compared.as_ref().map(|compared| compared.changes),
                        "policy": set.map(|set| set.digest().to_string()),
                        "policy_against": self.compared.as_ref().map(|compared| compared.against.to_string()),
                        "rules": set.map(|set| set.rules().len()),
                        "tiers": set.map(|set| set.tiers().len()),
                        "accounts": set.map(|set| set.accounts().len()),
                        "keys": set.map(|set| set.keys().count()),
                        "targets": set.map(|set| set.targets().len()),
                    })
                },
                String::new,
            );
        }
        if let Some(set) = set {
            // A gateway takes warnings, and a check does not pass them: both are said.
            let warned = match warnings {
                0 => String::new(),
                1 => "; 1 warning, with which a gateway would start".into(),
                more => format!("; {more} warnings, with which a gateway would start"),
            };
            eprintln!(
                "{name}: {} rules, {} tiers, {} accounts, {} keys, {} targets; policy {}{warned}",
                set.rules().len(),
                set.tiers().len(),
                set.accounts().len(),
                set.keys().count(),
                set.targets().len(),
                set.digest()
            );
        }
        Ok(())
    }
}

fn diagnostic(diagnostic: &Diagnostic) -> Value {
    let span = diagnostic.span.as_ref();
    json!({
        "type": "diagnostic",
        "severity": diagnostic.severity.word(),
        "message": diagnostic.message,
        "file": diagnostic.file.as_deref(),
        "line": span.map(|span| span.line),
        "column": span.map(|span| span.column),
        "length": span.map(|span| span.length),
        "label": diagnostic.label,
        "help": diagnostic.help,
    })
}

fn change(change: &Change) -> Value {
    let place = change.place.as_ref();
    json!({
        "type": "change",
        "weight": change.weight.word(),
        "kind": change.kind,
        "name": change.name,
        "text": change.text,
        "file": place.map(|(file, _)| &**file),
        "line": place.map(|(_, line)| line),
    })
}
