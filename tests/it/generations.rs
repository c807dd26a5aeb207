//! Generators that come and go while requests are under way, and new versions on trial.

use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::gateway::{Answer, Gateway, OPEN, Setup, request, send};
use crate::generator::{Asked, CONNECT, Gate, Generator, answer, bytes_of, good};
use crate::generators::CONNECT_TARGET;

fn signgate(gateway: &Gateway, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signgate"));
    command.current_dir(gateway.directory()).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn done(gateway: &Gateway, args: &[&str]) -> String {
    let output = signgate(gateway, args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn table(name: &str, generator: &Generator, more: &str) -> String {
    format!(
        "[[generator]]\nname = \"{name}\"\nkind = \"euler\"\nurl = \"http://{}\"\n{more}\n",
        generator.address
    )
}

fn write(gateway: &Gateway, text: &str) {
    std::fs::write(gateway.directory().join("signgate.toml"), text).unwrap();
}

/// Connects that were asked for: a probe asks like a client, but a client's comes with this.
fn asked(generator: &Generator) -> usize {
    let is_clients = |asked: &&Asked| asked.target.contains("client=ttlive-python");
    generator.asked().iter().filter(is_clients).count()
}

/// Asks all the time on four connections until it is dropped; every answer must be a good one.
struct Load {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn on(gateway: &Gateway) -> Self {
        let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let thread = |_| {
            let mut client = gateway.client();
            let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
            std::thread::spawn(move || {
                while !over.load(Ordering::Acquire) {
                    let good = client.get(CONNECT_TARGET, &[]);
                    assert_eq!((good.status, good.body), (200, bytes_of(CONNECT)));
                    answered.fetch_add(1, Ordering::AcqRel);
                }
            })
        };
        let threads = (0..4).map(thread).collect();
        Self { over, answered, threads }
    }

    fn end(self) -> usize {
        self.over.store(true, Ordering::Release);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        self.answered.load(Ordering::Acquire)
    }
}

/// Whether a generator works, since when, why not: `/readyz`, `generators list`, and the log, whose last word is how it is.
#[test]
fn whether_a_generator_works_is_told_with_since_when_and_why_not() {
    let generator = Generator::good();
    let gateway = Setup::new(OPEN).config(&table("mine", &generator, "")).start();
    let told = || gateway.readyz().json()["generators"][0].clone();
    // A moment after the start it has not been looked at yet.
    gateway.wait_until("since when it works", |_| told()["since"].is_string());
    let well = told();
    assert_eq!((&well["healthy"], &well["in_use"]), (&true.into(), &true.into()), "{well}");
    assert!(well["condition"].as_str().unwrap().starts_with("works, since 20"), "{well}");

    generator.set(|_| answer(200, &["X-Set-TT-Cookie: ttwid=1"], b"<html>blocked</html>"));
    gateway.wait_until("the ejection", |gateway| {
        gateway.get(CONNECT_TARGET, &[]);
        told()["healthy"] == false
    });
    let sick = told();
    let why = sick["why_not"].as_str().unwrap();
    assert!(why.starts_with("it gives no good answers (not protobuf "), "{sick}");
    assert!(sick["since"].as_str().unwrap() > well["since"].as_str().unwrap(), "{well} {sick}");
    assert_eq!(
        (&sick["kind"], &sick["in_use"]),
        (&"euler".into(), &true.into()),
        "what was there before stays"
    );
    gateway.wait_until("a failed probe", |_| {
        told()["why_not"].as_str().is_some_and(|why| why.contains("; the last probe failed: not "))
    });
    let listed = done(&gateway, &["generators", "list"]);
    assert!(
        listed.contains(" no ") && listed.contains("it gives no good answers (not protobuf "),
        "{listed}"
    );
    assert!(listed.contains(sick["since"].as_str().unwrap()), "{listed}");

    generator.set(good);
    gateway.wait_until("the recovery", |_| told()["healthy"] == true);
    assert_eq!(told()["why_not"], serde_json::Value::Null);
    let listed = done(&gateway, &["generators", "list"]);
    assert!(listed.contains(" yes ") && !listed.contains("not protobuf"), "{listed}");
    gateway.wait_until("its line", |gateway| gateway.said().contains("generator `mine` works again after"));
    let said = gateway.said();
    let of_generators: Vec<_> = said.lines().filter(|line| line.contains("generator")).collect();
    assert!(of_generators.last().unwrap().contains("works again"), "{said}");
    let ejected = of_generators.iter().find(|line| line.contains("is ejected")).unwrap();
    assert!(ejected.contains("its first probe comes 1s after that"), "{ejected}");
}

#[test]
fn generators_are_added_drained_and_removed_under_load_and_nothing_is_lost() {
    let (first, second) = (Generator::good(), Generator::good());
    let gateway = Setup::new(OPEN).config(&table("first", &first, "")).start();
    let load = Load::on(&gateway);

    write(&gateway, &[table("first", &first, ""), table("second", &second, "")].concat());
    let said = done(&gateway, &["reload"]);
    assert!(said.contains("generator `second` is added"), "{said}");
    gateway.wait_until("work for the second", |_| asked(&second) > 0);
    assert_eq!(done(&gateway, &["generators", "drain", "first"]), "first was full and is drained\n");
    let before = asked(&first);
    let answered = load.answered.load(Ordering::Acquire);
    gateway.wait_until("more answers", |_| load.answered.load(Ordering::Acquire) > answered + 100);
    // What was on its way when it was drained, and no more.
    assert!(asked(&first) <= before + 4, "{} after {before}", asked(&first));

    let last = signgate(&gateway, &["generators", "drain", "second"]);
    assert_eq!(last.status.code(), Some(1));
    assert!(text(&last.stderr).contains("no other generator would be left"), "{}", text(&last.stderr));

    write(&gateway, &table("second", &second, ""));
    gateway.signal("HUP");
    gateway.wait_until("the removal", |gateway| gateway.said().contains("generator `first` is taken out"));
    let listed = done(&gateway, &["generators", "list"]);
    assert!(listed.contains("second") && !listed.contains("first"), "{listed}");

    write(&gateway, "[[generator]]\nname = \"third\"\nkind = \"eulr\"\n");
    // The file that is broken is the one that names the socket.
    let refused = signgate(&gateway, &["reload", "--socket", "data/admin.sock"]);
    let complaint = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("signgate.toml:3:8") && complaint.contains("stay in force"), "{complaint}");
    assert!(done(&gateway, &["generators", "list", "--socket", "data/admin.sock"]).contains("second"));

    let answered = load.answered.load(Ordering::Acquire);
    gateway.wait_until("answers all the same", |_| load.answered.load(Ordering::Acquire) > answered + 50);
    let answered = load.end();
    let stopped = gateway.stop();
    let records = stopped.records();
    let outcomes = records.iter().filter(|record| record["event"].is_null());
    let bad: Vec<_> = outcomes.clone().filter(|record| record["outcome"] != "good").collect();
    assert!(bad.is_empty(), "{bad:?}");
    assert_eq!(outcomes.count(), answered);
    let event = |word: &str| records.iter().filter(|record| record["event"] == word).count();
    assert_eq!((event("generators-reloaded"), event("generator-drained")), (2, 1));
}

#[test]
fn how_they_are_asked_is_reloaded_under_load_and_what_waits_for_a_start_is_named() {
    let (first, second) = (Generator::good(), Generator::good());
    let tables = [table("first", &first, ""), table("second", &second, "")].concat();
    let gateway = Setup::new(OPEN).config(&tables).start();
    let load = Load::on(&gateway);
    gateway.wait_until("answers", |_| load.answered.load(Ordering::Acquire) > 20);
    let probed = || second.asked().iter().any(|asked| asked.target.contains("client=ttlive-other"));
    assert!(!probed(), "one that has work is not probed");
    done(&gateway, &["generators", "drain", "first"]);
    done(&gateway, &["generators", "reset", "first"]);

    let asking = "[generators]\nqueue-length = 9\nprobe-idle = \"1s\"\nhedge = false\n";
    write(&gateway, &[asking, &tables].concat());
    let said = done(&gateway, &["reload"]);
    for line in [
        "of how generators are asked, `queue-length` is 9, and was 512",
        "of how generators are asked, `probe-idle` is 1s, and was 30s",
        "of how generators are asked, `hedge` is false, and was true",
    ] {
        assert!(said.contains(line), "{said}");
    }
    let again = done(&gateway, &["reload"]);
    assert!(!again.contains("generators are asked"), "{again}");
    let answered = load.end();
    // Nobody asks any more: with the default it would not be probed within half a minute.
    gateway.wait_until("a probe", |_| probed());

    write(&gateway, &[asking, &tables, "[record]\nkeep = \"1d\"\n"].concat());
    let said = done(&gateway, &["reload"]);
    assert!(said.contains("`[record]` is not what it was: it is read at the start only"), "{said}");
    let records = gateway.stop().records();
    let good = records.iter().filter(|record| record["outcome"] == "good").count();
    assert_eq!(good, answered, "nothing is lost");
    let detail = records.iter().find(|record| record["event"] == "generators-reloaded").expect("a line");
    assert!(detail["detail"].as_str().unwrap().contains("`hedge`"), "{detail}");
}

#[test]
fn what_a_removed_generator_works_on_is_finished() {
    let (gate, second) = (Gate::default(), Generator::good());
    let held = gate.clone();
    let first = Generator::with(move |asked| {
        held.pass();
        good(asked)
    });
    let gateway = Setup::new(OPEN).config(&table("first", &first, "")).start();
    let mut client = gateway.client();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || client.get(CONNECT_TARGET, &[]));
        gateway.wait_until("the request at the first", |_| asked(&first) == 1);
        write(&gateway, &table("second", &second, ""));
        done(&gateway, &["reload"]);
        gate.open();
        assert_eq!(waiting.join().unwrap().status, 200);
        gateway.wait_until("work for the second", |gateway| {
            let status = gateway.get(CONNECT_TARGET, &[]).status;
            asked(&second) > 0 && status == 200
        });
    });
}

#[test]
fn a_generator_may_be_stopped_as_soon_as_a_reload_has_taken_it_out() {
    let (first, second) = (Generator::good(), Generator::good());
    let gateway = Setup::new(OPEN).config(&table("first", &first, "")).start();
    assert_eq!(gateway.get(CONNECT_TARGET, &[]).status, 200);
    write(&gateway, &table("second", &second, ""));
    done(&gateway, &["reload"]);
    drop(first);
    assert_eq!(gateway.get(CONNECT_TARGET, &[]).status, 200);
    assert_eq!(asked(&second), 1);
}

/// Asks from so many addresses, each once.
fn from_everywhere(gateway: &Gateway, round: usize) -> Vec<Answer> {
    let ask = |number: usize| {
        let from = format!("127.0.{}.{}", 1 + round % 200, 1 + number);
        let bytes = request("GET", CONNECT_TARGET, &["Connection: close"], None);
        Answer::all_of(&send(gateway.connect_from(&from), &bytes)).remove(0)
    };
    (0..30).map(ask).collect()
}

#[test]
fn a_canary_that_falls_behind_is_rolled_back_by_itself_and_nobody_notices() {
    let (old, new) = (Generator::good(), Generator::with(|_| answer(500, &[], b"")));
    // Nearly a third of what is asked fails, and all of it comes in the first moment: more than a fifth, which is what may be
    // repeated as a rule.
    let budget = "[generators]\nretries-per-second = 10000\n".to_owned();
    let canary = "canary-of = \"old\"\ncanary-share = 0.3";
    let config = [table("old", &old, ""), table("new", &new, canary), budget];
    let gateway = Setup::new(OPEN).config(&config.concat()).start();
    let listed = done(&gateway, &["generators", "list"]);
    assert!(listed.contains("old, 30.0 %"), "{listed}");
    assert!((gateway.metric("signgate_generator_canary_share{generator=\"new\"}") - 0.3).abs() < 1e-9);
    let mut round = 0;
    gateway.wait_until("the rollback", |gateway| {
        round += 1;
        for answered in from_everywhere(gateway, round) {
            assert_eq!(answered.status, 200, "{answered:?}");
        }
        gateway.said().contains("canary `new` is rolled back: more of its answers fail than those of `old`")
    });
    assert!(asked(&new) > 0);
    assert!(gateway.metric("signgate_generator_canary_share{generator=\"new\"}").abs() < 1e-9);
    let rollbacks = "signgate_generator_canary_rollbacks_total{generator=\"new\",why=\"success\"}";
    assert!((gateway.metric(rollbacks) - 1.0).abs() < 1e-9, "{}", gateway.metrics());

    // It stays so, also across a reload that changes something else.
    write(&gateway, &[&config.concat(), "[judge]\nsize-below = 1000\n"].concat());
    let stayed = asked(&new);
    from_everywhere(&gateway, 0);
    assert_eq!(asked(&new), stayed);
    write(&gateway, &config.concat());
    done(&gateway, &["reload"]);
    assert!(done(&gateway, &["generators", "list"]).contains("rolled-back"));

    // Mended, tried again, promoted.
    new.set(good);
    assert_eq!(done(&gateway, &["generators", "reset", "new"]), "new was rolled-back and is canary\n");
    gateway.wait_until("the canary's share", |gateway| {
        round += 1;
        from_everywhere(gateway, round);
        asked(&new) > stayed
    });
    assert_eq!(done(&gateway, &["generators", "promote", "new"]), "new was canary and is full\n");
    gateway.wait_until("all of the traffic", |gateway| {
        (gateway.metric("signgate_generator_canary_share{generator=\"new\"}") - 1.0).abs() < 1e-9
    });
    gateway.wait_until("its line", |gateway| {
        gateway.said().contains("generator `new` was canary and is full: promote, as ordered")
    });
    assert_eq!(done(&gateway, &["generators", "drain", "old"]), "old was full and is drained\n");
    let before = asked(&old);
    assert!(from_everywhere(&gateway, 0).iter().all(|answered| answered.status == 200));
    assert_eq!(asked(&old), before);
    for (args, says) in [
        (["generators", "promote", "old"], "it is no canary"),
        (["generators", "drain", "nobody"], "there is no generator `nobody`"),
        (["generators", "promote", "new"], "it is that already"),
    ] {
        let refused = signgate(&gateway, &args);
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused.stderr).contains(says), "{}", text(&refused.stderr));
    }
    let stopped = gateway.stop();
    let events: Vec<String> = stopped
        .records()
        .iter()
        .filter_map(|record| Some(record["event"].as_str()?.to_owned()))
        .filter(|event| event.starts_with("generator-"))
        .collect();
    let expected = ["generator-rolled-back", "generator-reset", "generator-promoted", "generator-drained"];
    assert_eq!(events, expected);
}

#[test]
fn a_proxy_stays_with_the_version_that_it_got() {
    let (old, new) = (Generator::good(), Generator::good());
    let config = [table("old", &old, ""), table("new", &new, "canary-of = \"old\"\ncanary-share = 0.5")];
    let gateway = Setup::new(OPEN).config(&config.concat()).start();
    for number in 0..12 {
        let from = format!("127.0.3.{}", 1 + number);
        let bytes = request("GET", CONNECT_TARGET, &["Connection: close"], None);
        let (before, times) = ((asked(&old), asked(&new)), 6);
        for _ in 0..times {
            assert_eq!(Answer::all_of(&send(gateway.connect_from(&from), &bytes))[0].status, 200);
        }
        let got = (asked(&old) - before.0, asked(&new) - before.1);
        // One that takes long may be asked of the other as well.
        assert!(got.0.max(got.1) >= times && got.0.min(got.1) <= 2, "{from}: {got:?}");
    }
    assert!(asked(&old) > 0 && asked(&new) > 0, "with half of the traffic both have some of twelve");
}
