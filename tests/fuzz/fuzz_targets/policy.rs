//! Any bytes as a policy: it is compiled or refused, never a panic, and what it is told can be shown and found.
//!
//! Input: one byte, then up to three files with a NUL between two: two policy files, and the bytes of whatever feed or table
//! they name. With a first byte that is odd a sound policy stands beside them, so that the later steps are reached too.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use signgate::base::operation::Operation;
use signgate::base::time::Timestamp;
use signgate::policy::diagnostic::{Diagnostic, render};
use signgate::policy::counter::COUNTERS_PER_REQUEST_MAX;
use signgate::policy::set::TierIndex;
use signgate::policy::{PolicySet, Sources, compile};

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

fn look_at(diagnostics: &[Diagnostic], sources: &Sources) {
    for diagnostic in diagnostics {
        let text = diagnostic.to_string();
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.chars().count() < 4_000, "{text}");
        let Some(span) = &diagnostic.span else { continue };
        let file = diagnostic.file.as_deref().expect("a place is in a file");
        let bytes = sources.bytes(file);
        // A packed one is complained of by the lines of what is in it.
        let lines = bytes.map_or(0, |bytes| bytes.split(|byte| *byte == b'\n').count());
        let packed = file.strip_suffix(".gz").is_some();
        assert!(bytes.is_some() && span.line >= 1 && (packed || span.line as usize <= lines), "{text}");
        assert!(span.column >= 1 && span.length >= 1, "{text}");
        if let Some(quote) = &span.quote {
            // One character behind the end is where something is missing.
            assert!(quote.caret_at + quote.caret_length <= quote.text.chars().count() + 1, "{text}");
        }
    }
    assert!(render(diagnostics).len() < 1 << 20);
}

fn ask(set: &PolicySet) {
    for (place, _) in (0u16..).zip(set.tiers()) {
        for operation in Operation::ALL {
            assert!(set.applicable(TierIndex(place), operation).len() <= COUNTERS_PER_REQUEST_MAX);
        }
    }
    assert_eq!(set.shedding_order().len(), set.tiers().len());
    for address in ["0.0.0.0", "203.0.113.7", "255.255.255.255", "::", "2001:db8::1", "::ffff:203.0.113.7"] {
        let address: IpAddr = address.parse().unwrap();
        let _ = set.networks().lookup(address);
        for rule in set.blocklists().of_address(address).iter().chain(set.allowlists().of_address(address)) {
            let _ = set.rule(*rule);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let mut files = rest.splitn(3, |byte| *byte == 0);
    let mut sources = Sources::new("");
    if choice & 1 == 1 {
        sources.insert("00.toml", include_str!("../../policies/base.toml"));
    }
    for name in ["10.toml", "20.toml"] {
        if let Some(bytes) = files.next() {
            sources.insert(name, bytes);
        }
    }
    let named = sources.feeds_named();
    if let Some(bytes) = files.next() {
        for name in named {
            sources.insert(name, bytes);
        }
    }
    match compile(&sources, NOW) {
        Ok(compiled) => {
            assert!(!compiled.warnings.iter().any(Diagnostic::is_error));
            look_at(&compiled.warnings, &sources);
            ask(&compiled.set);
        }
        Err(wrong) => {
            assert!(wrong.iter().any(Diagnostic::is_error));
            look_at(&wrong, &sources);
        }
    }
});
