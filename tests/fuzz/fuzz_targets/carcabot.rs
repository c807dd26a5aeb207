//! carcabot's answer, put into the words of the sign API: whatever it says, mapping it does not panic, and what the judge calls good
//! then is what was asked for, with a signature.
//!
//! Input: one byte for the status and the URL that was asked for, the body.
#![no_main]

mod good;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use signgate::base::operation::Operation;
use signgate::generator::Question;
use signgate::generator::adapters::carcabot;
use signgate::generator::judge::{Judge, Judgement};
use signgate::generator::reply::WANTED;
use signgate::generator::wire::{AnswerParser, Limits, Method};

static JUDGE: LazyLock<Judge> = LazyLock::new(Judge::default);

fuzz_target!(|data: &[u8]| {
    let [flags, body @ ..] = data else { return };
    let status = [200, 200, 400, 500][usize::from(flags & 3)];
    let asked = good::ASKED[usize::from(flags >> 2 & 3)];
    let head = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut parser = AnswerParser::new(Method::Post, WANTED, Limits::default());
    let whole = [head.as_bytes(), body].concat();
    let mut taken = 0;
    while !parser.is_complete() && taken < whole.len() {
        taken += parser.feed(&whole[taken..]).expect("an answer that is well framed");
    }
    let answer = parser.into_answer().expect("complete");
    let reply = carcabot::mapped(answer, Some("asked"));
    assert_eq!(reply.status(), status);
    let question = Question {
        operation: Operation::SignUrl,
        room: None,
        url: Some(asked),
        browser_user_agent: &|| Some("asked".into()),
        method: Method::Post,
        target: "/",
        headers: &[],
        body: None,
    };
    if let Judgement::Good(judged) = JUDGE.judge(&question, reply) {
        assert_eq!(status, 200);
        good::assert_signed(asked, &judged);
        assert!(!judged.signed.expect("a signed URL").user_agent.is_empty());
    }
});
