use super::super::Lack;

/// The words of the two rooms are the same: a place among the one is a place among the other.
#[test]
fn metrics_and_log_use_the_same_words() {
    let text = crate::telemetry::metrics::reference();
    for word in Lack::ALL.map(Lack::text).into_iter().chain(super::Cause::WORDS).chain(super::Found::WORDS) {
        assert!(text.contains(&format!("`{word}`")), "{word}");
    }
}
