//! What becomes of more work than the generators can do? Goodput, who is shed, and what a refusal costs.
//!
//! Three well generators that each make eight signatures at a time in 80 ms, so 300 a second together; as many clients of
//! each of three tiers ask at 0.5, 1, 2 and 3 times that rate. Then all of them fall sick: how soon do callers learn it, and what
//! are they told?

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::moods::generator::Settings;
use crate::moods::load::{Group, Load, Running, Tally, get};
use crate::moods::mood::Mood;
use crate::proxies::{Generators, Kind, Proxy, gateway, versions};
use crate::table::{machine, percent, today};

const WELL: [Mood; 3] = [Mood::Good; 3];
const GENERATORS: Settings = Settings { takes: Duration::from_millis(80), bytes: 0, slots: 8 };
/// What they can do in a second.
const CAPACITY: f64 = 300.0;
const LEVELS: [f64; 4] = [0.5, 1.0, 2.0, 3.0];
/// How long each level runs before it is measured.
const SETTLES: Duration = Duration::from_secs(4);
/// A client of this library gives up after three seconds.
const LIBRARY: &str = "ttlive-java";

/// The tiers, cheapest first, and the account of each that has a key.
const TIERS: [(&str, Option<&str>); 3] =
    [("anonymous", None), ("community", Some("hobby")), ("business", Some("studio"))];

const POLICY: &str = r#"format = 1
[tier.anonymous]
class = "none"
[tier.community]
class = "free"
[tier.business]
class = "paid"
[[account]]
id = "hobby"
tier = "community"
[[account]]
id = "studio"
tier = "business"
[[target]]
hosts = ["webcast.tiktok.com"]
paths = ["/webcast/*"]
"#;

struct Level {
    times: f64,
    tiers: Vec<Tally>,
    /// What the limits answer said of shedding in the middle of it, to each tier.
    told: Vec<f64>,
    asked: u64,
}

impl Level {
    fn sum(&self, count: impl Fn(&Tally) -> u64) -> f64 {
        self.tiers.iter().map(count).sum::<u64>() as f64
    }
}

/// Measures each level for so long; a text in Markdown.
pub fn run(length: Duration) -> anyhow::Result<String> {
    let mut generators = Generators::start(GENERATORS)?;
    let proxy = Proxy::start_with(Kind::Signgate, &generators.addresses, POLICY, "in-flight-max = 8")?;
    let groups: Vec<Group> =
        TIERS.iter().map(|(_, account)| group(&proxy, *account)).collect::<anyhow::Result<_>>()?;
    // The files are looked at every two seconds; whoever shows a key before it is known is barred for a while.
    std::thread::sleep(Duration::from_secs(3));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let (levels, out) = local.block_on(&runtime, async {
        let mut levels = Vec::new();
        for times in LEVELS {
            levels.push(level(&proxy, &mut generators, &groups, times, length).await?);
        }
        let out = all_out(&proxy, &mut generators, &groups, length).await?;
        anyhow::Ok((levels, out))
    })?;
    Ok(text(&levels, length) + &out)
}

/// All are sick, and clients go on asking for what they could do when they were well.
async fn all_out(
    proxy: &Proxy,
    generators: &mut Generators,
    groups: &[Group],
    length: Duration,
) -> anyhow::Result<String> {
    let mut load = Running::new(Load {
        address: proxy.address,
        rate: CAPACITY,
        bytes: GENERATORS.bytes,
        library: LIBRARY,
        patience: Duration::from_secs(5),
        groups: groups.to_vec(),
    });
    load.ask_for(Duration::from_secs(2)).await.end().await;
    let [asked, _] = generators.set([Mood::Empty, Mood::HangsBefore, Mood::Refused])?;
    let noticing = load.ask_for(SETTLES).await;
    let [tried, _] = generators.set([Mood::Empty, Mood::HangsBefore, Mood::Refused])?;
    let stretch = load.ask_for(length).await;
    let mut waits = Vec::new();
    for _ in 0..20 {
        let (status, body) =
            get(proxy.address, "/webcast/fetch?client=ttlive-java&room_id=7300000000000000001", "")
                .await
                .context("a refusal")?;
        if status == 503 {
            let told: Value = serde_json::from_slice(&body)?;
            waits.push(told["retry_after"].as_u64().context("`retry_after`")?);
        }
    }
    let [tried_after, _] = generators.set(WELL)?;
    noticing.end().await;
    let mut all = Tally::default();
    stretch.end().await.into_iter().for_each(|tally| all.add(tally));
    Ok(format!(
        "\n## With all of them sick\n\nOne answers 200 with nothing, one says nothing, one is gone, and {CAPACITY} requests a second \
         come. From {} s on: {} of {} get 503 or 429, half of these within {} ms, 99 of 100 within {} ms; they are told to wait for \
         {} to {} s. The generators were asked {} times in the first {} s and {} times in the {} s after.\n",
        SETTLES.as_secs(),
        all.refusals(),
        all.sent,
        millis(Tally::percentile(&all.refused, 0.5)),
        millis(Tally::percentile(&all.refused, 0.99)),
        waits.iter().min().context("nobody was refused")?,
        waits.iter().max().context("nobody was refused")?,
        tried - asked,
        SETTLES.as_secs(),
        tried_after - tried,
        length.as_secs_f64(),
    ))
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

/// The clients of a tier; a key is made for them, and the gateway takes the changed policy by itself.
fn group(proxy: &Proxy, account: Option<&str>) -> anyhow::Result<Group> {
    let Some(account) = account else { return Ok(Group { lines: String::new(), weight: 1 }) };
    let made = Command::new(gateway())
        .args(["keys", "new", "--account", account, "--policies"])
        .arg(proxy.folder.path().join("policies"))
        .output()?;
    if !made.status.success() {
        bail!("cannot make a key: {}", String::from_utf8_lossy(&made.stderr));
    }
    let lines = format!("X-Api-Key: {}\r\n", String::from_utf8(made.stdout)?.trim());
    Ok(Group { lines, weight: 1 })
}

async fn level(
    proxy: &Proxy,
    generators: &mut Generators,
    groups: &[Group],
    times: f64,
    length: Duration,
) -> anyhow::Result<Level> {
    let mut load = Running::new(Load {
        address: proxy.address,
        rate: CAPACITY * times,
        bytes: GENERATORS.bytes,
        library: LIBRARY,
        patience: Duration::from_secs(5),
        groups: groups.to_vec(),
    });
    let settling = load.ask_for(SETTLES).await;
    let [asked, _] = generators.set(WELL)?;
    let first = load.ask_for(length / 2).await;
    let mut told = Vec::new();
    for group in groups {
        let (_, body) = get(proxy.address, "/webcast/rate_limits", &group.lines).await.context("limits")?;
        let limits: Value = serde_json::from_slice(&body)?;
        told.push(limits["load_shedding"]["chance"].as_f64().context("`load_shedding.chance`")?);
    }
    let second = load.ask_for(length / 2).await;
    let [asked_after, _] = generators.set(WELL)?;
    settling.end().await;
    let mut tiers = first.end().await;
    for (tally, more) in tiers.iter_mut().zip(second.end().await) {
        tally.add(more);
    }
    Ok(Level { times, tiers, told, asked: asked_after - asked })
}

fn text(levels: &[Level], length: Duration) -> String {
    let mut text = format!(
        "# More work than the generators can do\n\nMeasured {} on: {}; {}; {} s for each level.\n\n\
         Three generators make {CAPACITY} signatures a second together; as many clients of each of three tiers ask, and give up \
         after three seconds. A refusal is a 503 or a 429.\n\n\
         | asked, of capacity | good a second | of the peak | p99 good | refused: anonymous | community | business | told | \
         p99 refused, slowest | neither | asked of generators for 100 good |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
        today(),
        machine(),
        versions(&[Kind::Signgate]),
        length.as_secs_f64(),
    );
    let goodput = |level: &Level| level.sum(|tally| tally.good) / length.as_secs_f64();
    let peak = levels.iter().map(goodput).fold(0.0, f64::max);
    for level in levels {
        let all: Vec<Duration> = level.tiers.iter().flat_map(|tally| tally.refused.clone()).collect();
        let took: Vec<Duration> = level.tiers.iter().flat_map(|tally| tally.took.clone()).collect();
        let shed =
            |place: usize| level.tiers[place].refusals() as f64 / level.tiers[place].sent.max(1) as f64;
        let neither = level.sum(|tally| tally.sent) - level.sum(|tally| tally.good) - all.len() as f64;
        let told: Vec<String> = level.told.iter().map(|chance| format!("{:.0}", chance * 100.0)).collect();
        let _ = writeln!(
            text,
            "| {} | {:.0} | {} | {} ms | {} | {} | {} | {} % | {} ms, {} ms | {neither} | {:.0} |",
            level.times,
            goodput(level),
            percent(goodput(level) / peak),
            Tally::percentile(&took, 0.99).as_millis(),
            percent(shed(0)),
            percent(shed(1)),
            percent(shed(2)),
            told.join(", "),
            millis(Tally::percentile(&all, 0.99)),
            millis(all.iter().max().copied().unwrap_or_default()),
            level.asked as f64 / level.sum(|tally| tally.good) * 100.0,
        );
    }
    text
}
