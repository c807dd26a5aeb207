//! What may be written in a table, said once: the reader takes it for what is known, and the reference is printed from it.

/// One kind of table.
#[derive(Debug)]
pub struct TableDoc {
    /// As it is written: `[[quota]]`, `[tier.NAME]`, `[viewbot.gate]`.
    pub header: &'static str,
    /// What it is for: whole sentences.
    pub meaning: &'static str,
    /// Everything that may stand in it, in the order in which a person would write it.
    pub fields: &'static [FieldDoc],
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub struct FieldDoc {
    /// As it is written.
    pub name: &'static str,
    /// What may stand behind the `=`, with its bounds.
    pub kind: &'static str,
    /// What holds where it is left out.
    pub left_out: LeftOut,
    /// What it does.
    pub meaning: &'static str,
    /// The first version that knows it.
    pub since: &'static str,
}

/// What holds where a field is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// It must be there.
    Refused,
    /// Nothing of the kind.
    Nothing,
    /// This value, or what the words say.
    Is(&'static str),
}

impl FieldDoc {
    /// A field that must be there, known from the first version on.
    pub const fn required(name: &'static str, kind: &'static str, meaning: &'static str) -> Self {
        Self { name, kind, left_out: LeftOut::Refused, meaning, since: "0.1.0" }
    }

    /// One that may be left out.
    pub const fn optional(name: &'static str, kind: &'static str, meaning: &'static str) -> Self {
        Self { name, kind, left_out: LeftOut::Nothing, meaning, since: "0.1.0" }
    }

    /// One that has a default.
    pub const fn defaults(
        name: &'static str,
        kind: &'static str,
        default: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self { name, kind, left_out: LeftOut::Is(default), meaning, since: "0.1.0" }
    }
}

impl TableDoc {
    /// Whether it has that field.
    pub fn has(&self, field: &str) -> bool {
        self.fields.iter().any(|known| known.name == field)
    }
}
