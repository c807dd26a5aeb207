//! One connection over memory, in paused time: what a real socket would only do now and then, done on purpose.

use tokio::io::{DuplexStream, duplex};

use super::*;
use crate::base::buffer::BUFFER_BYTES;
use crate::generator::wire::{Limits, Method, TooLarge, Wanted};

fn parser() -> AnswerParser {
    AnswerParser::new(Method::Get, Wanted::NONE, Limits::default()).staying()
}

/// A connection whose other end takes `room` unread bytes, and a deadline in a second.
fn connected(room: usize) -> (Connection<DuplexStream>, DuplexStream, Instant) {
    let (near, far) = duplex(room);
    let deadline = Instant::now() + Duration::from_secs(1);
    (Connection::new(near, deadline), far, deadline)
}

/// What an exchange gives where the other end says `answer` and then stays silent.
async fn exchange_with(answer: &[u8]) -> Result<(Answer, Afterwards), WireError> {
    let (mut connection, mut far, deadline) = connected(1024);
    far.write_all(answer).await.unwrap();
    connection.exchange(b"x", parser(), deadline).await
}

#[tokio::test(start_paused = true)]
async fn the_deadline_names_the_phase() {
    let (mut connection, _far, deadline) = connected(16);
    let long = connection.exchange(&[b'x'; 17], parser(), deadline).await;
    assert_eq!(long.err(), Some(WireError::TimedOut(Phase::Write)));
    assert_eq!(Instant::now(), deadline);

    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello";
    for (answer, phase) in [
        (String::new(), Phase::Head),
        ("HTTP/1.1 200 OK\r\n".to_owned(), Phase::Head),
        ("HTTP/1.1 100 Continue\r\n\r\n".to_owned(), Phase::Head),
        (head.to_owned(), Phase::Body),
        (format!("{head}hell"), Phase::Body),
        (chunked.to_owned(), Phase::Body),
        ("HTTP/1.1 200 OK\r\n\r\nhello".to_owned(), Phase::Body),
    ] {
        let result = exchange_with(answer.as_bytes()).await;
        assert_eq!(result.err(), Some(WireError::TimedOut(phase)), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trickle_does_not_move_the_deadline() {
    let (mut connection, mut far, deadline) = connected(1024);
    let trickle = async {
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: ".iter().chain([b'a'; 100].iter()) {
            far.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        result = connection.exchange(b"x", parser(), deadline) => {
            assert_eq!(result.err(), Some(WireError::TimedOut(Phase::Head)));
        }
        () = trickle => panic!("read on beyond the deadline"),
    }
    assert_eq!(Instant::now(), deadline);
}

#[tokio::test]
async fn an_answer_that_comes_whole_says_the_same_as_one_that_comes_in_pieces() {
    const WANTED: Wanted = Wanted::new(&["x-room-id", "x-absent"]);
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let answer = "HTTP/1.1 201 Created\r\nSet-Cookie: a\r\nX-Room-Id: 73\r\nContent-Length: 5\r\n\r\nhello";
    for pieces in [vec![answer], vec![&answer[..20], &answer[20..]], vec![&answer[..answer.len() - 2], "lo"]]
    {
        for early in ["", interim] {
            let (mut connection, mut far, deadline) = connected(1024);
            let parser = AnswerParser::new(Method::Get, WANTED, Limits::default()).staying();
            let server = async {
                far.write_all(early.as_bytes()).await.unwrap();
                for piece in &pieces {
                    far.write_all(piece.as_bytes()).await.unwrap();
                    tokio::task::yield_now().await;
                }
            };
            let (result, ()) = tokio::join!(connection.exchange(b"x", parser, deadline), server);
            let (got, afterwards) = result.unwrap();
            assert_eq!((got.status().as_u16(), got.body()), (201, &b"hello"[..]));
            assert_eq!(got.headers().collect::<Vec<_>>(), [("x-room-id", &b"73"[..])]);
            assert_eq!(afterwards, Afterwards::Reuse { idle_hint: None });
            assert_eq!(got.into_body(), &b"hello"[..]);
        }
    }
}

#[tokio::test]
async fn surplus_forbids_reuse() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let (_, afterwards) = exchange_with(answer.as_bytes()).await.unwrap();
    assert_eq!(afterwards, Afterwards::Reuse { idle_hint: None });
    let (got, afterwards) = exchange_with(format!("{answer}H").as_bytes()).await.unwrap();
    assert_eq!((got.body(), afterwards), (&b"hello"[..], Afterwards::Close));
}

#[tokio::test]
async fn whatever_comes_while_idle_is_noticed() {
    let (mut connection, mut far, _) = connected(16);
    assert!(connection.is_quiet());
    assert!(connection.is_quiet(), "looking changes nothing");
    far.write_all(b"H").await.unwrap();
    assert!(!connection.is_quiet());

    let (mut connection, far, _) = connected(16);
    drop(far);
    assert!(!connection.is_quiet());
}

#[tokio::test]
async fn a_task_that_used_up_its_turn_still_notices() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    far.write_all(b"H").await.unwrap();
    near.readable().await.unwrap();
    let mut connection = Connection::new(near, Instant::now());
    while tokio::task::coop::has_budget_remaining() {
        // One unit of this turn's budget each.
        let mut turn = std::pin::pin!(tokio::task::coop::consume_budget());
        let _ = turn.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    assert!(!connection.is_quiet());
}

#[tokio::test]
async fn a_body_beyond_the_buffer_is_read_to_its_place_and_not_a_byte_further() {
    let (mut connection, mut far, deadline) = connected(4096);
    let body = vec![b'b'; 5 * BUFFER_BYTES];
    let server = async {
        far.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes())
            .await
            .unwrap();
        far.write_all(&body).await.unwrap();
        far.write_all(b"surplus").await.unwrap();
    };
    let (result, ()) = tokio::join!(connection.exchange(b"x", parser(), deadline), server);
    let (answer, _) = result.unwrap();
    assert_eq!(answer.body(), body);
    assert!(!connection.is_quiet(), "what was left unread is noticed before the next request");
}

#[tokio::test]
async fn a_large_head_and_large_chunks_fit() {
    let (mut connection, mut far, deadline) = connected(4096);
    let head =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Long: {}\r\n\r\n", "a".repeat(60_000));
    let server = async {
        far.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..10 {
            far.write_all(format!("{:x}\r\n{}\r\n", 9_999, "b".repeat(9_999)).as_bytes()).await.unwrap();
        }
        far.write_all(b"0\r\n\r\n").await.unwrap();
    };
    let (result, ()) = tokio::join!(connection.exchange(b"x", parser(), deadline), server);
    let (answer, afterwards) = result.unwrap();
    assert_eq!(answer.body(), vec![b'b'; 99_990]);
    assert_eq!(afterwards, Afterwards::Reuse { idle_hint: None });
}

#[tokio::test]
async fn an_endless_answer_ends_at_the_limit() {
    for head in ["", "HTTP/1.1 200 OK\r\nA: ", "HTTP/1.1 200 OK\r\n\r\n"] {
        let (mut connection, mut far, deadline) = connected(4096);
        let server = async {
            if far.write_all(head.as_bytes()).await.is_ok() {
                while far.write_all(&[b'H'; 1024]).await.is_ok() {}
            }
        };
        let client = async {
            let result = connection.exchange(b"x", parser(), deadline).await;
            drop(connection);
            result
        };
        let (result, ()) = tokio::join!(client, server);
        let error = result.unwrap_err();
        assert!(
            matches!(error, WireError::TooLarge(TooLarge::Head | TooLarge::Body) | WireError::Malformed(_)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn only_an_answer_without_any_byte_was_closed_early() {
    for (answer, error) in [
        (&b""[..], WireError::ClosedEarly),
        (b"H", WireError::CutShort),
        (b"HTTP/1.1 100 Continue\r\n\r\n", WireError::CutShort),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", WireError::CutShort),
    ] {
        let (mut connection, mut far, deadline) = connected(1024);
        far.write_all(answer).await.unwrap();
        far.shutdown().await.unwrap();
        let result = connection.exchange(b"x", parser(), deadline).await;
        assert_eq!(result.err(), Some(error), "{answer:?}");
    }
}
