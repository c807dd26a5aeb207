//! How a recorded request ended, for whoever asks about that one: which generator answered, what was the matter, what the
//! client got. Replay needs none of it, so it is read of the one line that is looked for.
//!
//! A record of another origin may mean something else by these names: what is not as ours is not there.

use serde_json::{Map, Value, json};

use crate::policy::diagnostic::quoted;
use crate::telemetry::outcome::Outcome;

/// How one recorded request ended, as its line says. Every part may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ending {
    /// In one word.
    pub outcome: Option<Outcome>,
    /// Of the answer; `None` where none was sent.
    pub status: Option<u16>,
    /// The generator that the line names: whose answer was passed on, or, where no answer was good, whose defect is told.
    pub generator: Option<String>,
    /// How many were asked.
    pub attempts: Option<u64>,
    /// What was the matter with the answer, where none was good.
    pub defect: Option<String>,
    /// What there was too little of, where no generator was asked.
    pub lack: Option<String>,
    /// Whether what it was charged was given back.
    pub refunded: Option<bool>,
    /// Whether it was turned away before anything was charged.
    pub turned_away: bool,
    /// Whether the gateway ended it by itself, before any policy had decided of it: then there was nothing to charge.
    pub by_gateway: bool,
}

impl Ending {
    /// Of a line that was read as a record before.
    pub fn read(line: &[u8]) -> Self {
        let fields: Map<String, Value> = serde_json::from_slice(line).unwrap_or_default();
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let truth = |name: &str| fields.get(name).and_then(Value::as_bool);
        let status = fields.get("status").and_then(Value::as_u64).and_then(|status| status.try_into().ok());
        Self {
            outcome: text("outcome").as_deref().and_then(Outcome::from_word),
            status: status.filter(|status| *status > 0),
            generator: text("generator"),
            attempts: fields.get("attempts").and_then(Value::as_u64),
            defect: text("defect"),
            lack: text("lack"),
            refunded: truth("refunded"),
            turned_away: truth("turned_away") == Some(true),
            by_gateway: text("by").as_deref() == Some("gateway"),
        }
    }

    /// For a program; `null` where the line does not say.
    pub fn json(&self) -> Value {
        json!({
            "outcome": self.outcome.map(Outcome::word),
            "status": self.status,
            "generator": self.generator,
            "attempts": self.attempts,
            "defect": self.defect,
            "lack": self.lack,
            "refunded": self.refunded,
        })
    }

    /// In one sentence, without its period; `None` where the line does not say how it ended.
    pub fn sentence(&self) -> Option<String> {
        let outcome = self.outcome?;
        let generator = || match &self.generator {
            Some(name) => format!("generator {}", quoted(name)),
            None => "a generator".to_owned(),
        };
        let of_defect = || self.defect.as_deref().map_or(String::new(), |word| format!(": {}", quoted(word)));
        let what = match outcome {
            Outcome::Good if self.generator.is_some() => format!("{} answered well", generator()),
            Outcome::Good => "the gateway answered by itself".to_owned(),
            Outcome::Refused => "it was refused, and no generator was asked".to_owned(),
            Outcome::Invalid => "the request itself is wrong".to_owned(),
            Outcome::RequestBlamed => format!("{} says that the request is at fault", generator()),
            Outcome::GeneratorFailed => format!("{} gave no good answer{}", generator(), of_defect()),
            Outcome::TimedOut => format!("{} did not answer in time{}", generator(), of_defect()),
            Outcome::NoCapacity => {
                let of_lack =
                    self.lack.as_deref().map_or(String::new(), |word| format!(": {}", quoted(word)));
                let how = if self.turned_away { "turned away at the door" } else { "given up" };
                format!("it was {how} for want of a generator{of_lack}")
            }
            Outcome::ClientGone => "the client hung up first".to_owned(),
            Outcome::GatewayFailed => "the gateway failed by itself".to_owned(),
        };
        let attempts = match self.attempts {
            // Not which of them it was: with hedges the first may win.
            Some(attempts @ 2..) => format!(" ({attempts} attempts)"),
            _ => String::new(),
        };
        let got = match self.status {
            Some(status) => format!("the client got {status}"),
            None => "the client got no answer".to_owned(),
        };
        let charge = match outcome {
            Outcome::Refused | Outcome::Invalid => "",
            _ if self.turned_away => ", and nothing was charged",
            _ if self.refunded == Some(true) => ", and its charge was given back",
            // What was booked, if anything, stays so: whether a quota counted it at all is not in the record.
            Outcome::RequestBlamed | Outcome::ClientGone
                if self.refunded == Some(false) && !self.by_gateway =>
            {
                ", and nothing is given back"
            }
            _ => "",
        };
        Some(format!("{what}{attempts}; {got}{charge}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(line: &str) -> String {
        Ending::read(line.as_bytes()).sentence().unwrap_or_else(|| "nothing".to_owned())
    }

    #[test]
    fn an_ending_is_told_in_a_sentence() {
        insta::assert_snapshot!(
            [
                r#"{"outcome":"good","status":200,"generator":"mine","attempts":1,"refunded":false}"#,
                r#"{"outcome":"good","status":200,"generator":"mine","attempts":2,"refunded":false}"#,
                r#"{"outcome":"good","status":200,"attempts":0}"#,
                r#"{"outcome":"refused","status":429,"attempts":0}"#,
                r#"{"outcome":"invalid","status":400}"#,
                r#"{"outcome":"request-blamed","status":404,"generator":"mine","attempts":1,"defect":"blames the request","refunded":false}"#,
                r#"{"outcome":"generator-failed","status":502,"generator":"mine","attempts":1,"defect":"fallback host","refunded":true}"#,
                r#"{"outcome":"generator-failed","status":502,"generator":"mine","attempts":3,"refunded":true}"#,
                r#"{"outcome":"timed-out","status":504,"generator":"mine","attempts":1,"defect":"timed out while waiting for the head","refunded":true}"#,
                r#"{"outcome":"no-capacity","status":503,"attempts":0,"lack":"shed","turned_away":true}"#,
                r#"{"outcome":"no-capacity","status":503,"attempts":0,"lack":"all-out","refunded":true}"#,
                r#"{"outcome":"no-capacity","status":503,"attempts":0,"refunded":true}"#,
                r#"{"outcome":"client-gone","status":0,"generator":"mine","attempts":1,"refunded":false}"#,
                r#"{"outcome":"client-gone","status":0,"attempts":0,"refunded":false,"by":"gateway","rule":"client-gone"}"#,
                r#"{"outcome":"client-gone","status":0,"attempts":0}"#,
                r#"{"outcome":"gateway-failed","status":500}"#,
                r#"{"outcome":"generator-failed","generator":"a\u001b[2Jb","defect":"x\u0007"}"#,
            ]
            .map(sentence)
            .join("\n")
        );
    }

    #[test]
    fn what_is_not_as_ours_is_not_there() {
        for line in
            ["", "[]", r#"{"outcome":"ok"}"#, r#"{"outcome":7,"status":"fine","generator":{"name":"x"}}"#]
        {
            assert_eq!(Ending::read(line.as_bytes()), Ending::default(), "{line}");
            assert_eq!(sentence(line), "nothing");
        }
        let odd = r#"{"status":99999,"attempts":-1,"refunded":"yes","outcome":"good"}"#;
        let good = Ending { outcome: Some(Outcome::Good), ..Ending::default() };
        assert_eq!(Ending::read(odd.as_bytes()), good);
    }
}
