//! Callers with a key before the generators: what they do goes by their account, and not by the address that they come from.

use std::io::Write;
use std::net::SocketAddr;

use signgate::base::secret::KeyHash;

use crate::gateway::{Answer, Gateway, OPEN, Setup, connect_from, request};
use crate::generator::{Gate, Generator, good};
use crate::generators::CONNECT_TARGET;

const KEY: &str = "X-Api-Key: sg_overlay";

/// A policy in which the key is an account's that pays.
fn policies() -> Setup {
    let hash = KeyHash::of(b"sg_overlay");
    let key = format!(
        "[tier.business]\nclass = \"paid\"\n[[account]]\nid = \"paying\"\ntier = \"business\"\n\
         [[key]]\nid = \"k_paying\"\nhash = \"{hash}\"\naccount = \"paying\"\n"
    );
    Setup::new(OPEN).policy("keys.toml", &key)
}

fn table(name: &str, address: SocketAddr, more: &str) -> String {
    format!("[[generator]]\nname = \"{name}\"\nkind = \"euler\"\nurl = \"http://{address}\"\n{more}\n")
}

fn ask_from(source: &str, gateway: SocketAddr, headers: &[&str]) -> Answer {
    let headers = [&["Connection: close"], headers].concat();
    let mut stream = connect_from(source.parse().unwrap(), gateway);
    stream.write_all(&request("GET", CONNECT_TARGET, &headers, None)).unwrap();
    Answer::read_one(&mut stream)
}

#[test]
fn an_account_stays_with_the_version_that_it_got_wherever_it_asks_from() {
    let (old, new) = (Generator::good(), Generator::good());
    let gateway = policies()
        .config(&table("old", old.address, ""))
        .config(&table("new", new.address, "canary-of = \"old\"\ncanary-share = 0.5"))
        .start();
    let all_from_everywhere = |headers: &[&str]| {
        for number in 0..12 {
            assert_eq!(ask_from(&format!("127.0.3.{}", 1 + number), gateway.public, headers).status, 200);
        }
    };
    all_from_everywhere(&[]);
    let keyless = gateway.first_asked(["old", "new"], 12);
    assert!(keyless.iter().all(|asked| *asked > 0), "addresses are on both sides: {keyless:?}");
    all_from_everywhere(&[KEY]);
    let both = gateway.first_asked(["old", "new"], 24);
    let keyed = [both[0] - keyless[0], both[1] - keyless[1]];
    assert!(keyed.contains(&12), "one account is on one: {keyed:?}");
}

/// A gateway whose one generator is held, with a request of somebody without a key at it.
fn held(asking: &str) -> (Gate, Generator, Gateway, std::thread::JoinHandle<u16>) {
    let gate = Gate::default();
    let holds = gate.clone();
    let generator = Generator::with(move |asked| {
        holds.pass();
        good(asked)
    });
    // Longer than a test waits: nobody's time is over before the gate is open.
    let gateway = policies()
        .config(&format!("[generators]\nqueue-time = \"30s\"\n{asking}"))
        .config(&table("held", generator.address, "in-flight-max = 1"))
        .start();
    let address = gateway.public;
    let first = std::thread::spawn(move || ask_from("127.0.4.1", address, &[]).status);
    gateway.wait_until("the first request", |_| generator.asked().len() == 1);
    (gate, generator, gateway, first)
}

fn waiting(gateway: &Gateway, count: f64) {
    gateway.wait_until("who waits", |gateway| (gateway.metric("signgate_queue_depth") - count).abs() < 0.5);
}

#[test]
fn whoever_pays_takes_the_place_of_one_without_a_key_and_gives_it_to_none() {
    let (gate, generator, gateway, first) = held("queue-length = 1");
    let address = gateway.public;
    let displaced = std::thread::spawn(move || ask_from("127.0.4.2", address, &[]));
    waiting(&gateway, 1.0);
    let pays = std::thread::spawn(move || ask_from("127.0.4.3", address, &[KEY]));
    // It is told as soon as the other comes, and not when its time is over.
    displaced.join().unwrap().refusal(503, "queue_full");
    waiting(&gateway, 1.0);
    assert_eq!(ask_from("127.0.4.4", address, &[]).status, 503, "the queue is full of dearer ones");
    gate.open();
    assert_eq!((first.join().unwrap(), pays.join().unwrap().status), (200, 200));
    assert_eq!(generator.asked().len(), 2);
    let records = gateway.stop().records();
    let displaced = records.iter().find(|record| record["client"] == "127.0.4.2").unwrap();
    assert_eq!(displaced["lack"], "queue-full", "{displaced}");
}

#[test]
fn an_account_has_one_share_of_the_queue_wherever_it_asks_from() {
    // One place of four for each.
    let (gate, generator, gateway, first) = held("queue-length = 4\naccount-share = 0.25");
    let address = gateway.public;
    let keyed = ["127.0.4.2", "127.0.4.3"]
        .map(|source| std::thread::spawn(move || ask_from(source, address, &[KEY]).status));
    // The second of them, or, once it is overload, the first.
    gateway.wait_until("one of them to be told", |_| keyed.iter().any(std::thread::JoinHandle::is_finished));
    waiting(&gateway, 1.0);
    gate.open();
    let mut statuses = keyed.map(|keyed| keyed.join().unwrap());
    statuses.sort_unstable();
    assert_eq!((first.join().unwrap(), statuses), (200, [200, 503]));
    assert_eq!(generator.asked().len(), 2);
}
