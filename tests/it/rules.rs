//! Rules that need more than the request alone: the network of its address, and what was asked for before.

use crate::gateway::{OPEN, Setup};

const TARGET: &str = "/webcast/fetch?room_id=7300000000000000001";

#[test]
fn an_address_is_blocked_by_its_autonomous_system() {
    let networks = |asn: u32| format!("prefix,asn,kind\n127.0.0.0/8,{asn},hosting\n192.0.2.0/24,64496,isp\n");
    let policy = format!(
        "{OPEN}\n[networks]\ntable = \"networks.csv\"\n[[blocklist]]\nname = \"hosting\"\nasns = [64496]\n"
    );
    let gateway = Setup::new(&policy).policy("networks.csv", &networks(64496)).start();
    let body = gateway.get(TARGET, &[]).refusal(403, "blocked");
    assert!(body["message"].as_str().unwrap().starts_with("this network is blocked"), "{body}");
    let gateway = Setup::new(&policy).policy("networks.csv", &networks(64497)).start();
    assert_eq!(gateway.get(TARGET, &[]).status, 200);
}

#[test]
fn a_fifth_room_is_refused_and_the_first_four_are_not() {
    let rule = "[[distinct]]\nname = \"d\"\ncount = \"room\"\nscope = \"proxy\"\nlimits = { \"30m\" = 4 }\n";
    let gateway = Setup::new(&format!("{OPEN}\n{rule}")).start();
    let ask = |room: u32| gateway.get(&format!("/webcast/fetch?room_id={room}"), &[]);
    for room in [1, 2, 3, 4, 1, 4] {
        assert_eq!(ask(room).status, 200, "room {room}");
    }
    let refused = ask(5);
    refused.refusal(429, "rate_limit_proxy_different_room_id_30m");
    let wait = refused.number("retry-after");
    assert!((1_780..=1_800).contains(&wait), "{wait}");
    assert_eq!(ask(2).status, 200, "asking again for one that was counted costs nothing");
}
