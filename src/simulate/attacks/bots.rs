//! What bots are made of: an address, a program, perhaps a key or a device id.

use std::net::IpAddr;

use super::super::agenda::World;
use super::super::identity::{Client, Key, Persona, Tier};
use super::super::networks::{Network, Plan};
use super::super::random::Random;
use super::super::tools::ToolId;

/// A bot with this program at this address, without a key.
pub(super) fn bot(address: IpAddr, tool: ToolId) -> Client {
    let client =
        Client { address, key: None, tool, device: None, session: None, viewer: 0, persona: Persona::Bot };
    identified(client)
}

/// Names a bot by what makes it a viewer: two bots are one where a gateway cannot tell them apart.
pub(super) fn identified(client: Client) -> Client {
    let address = match client.address {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
    };
    let program = client
        .device
        .or(client.session.map(|session| session as u64))
        .or(client.key.map(|key| key.number))
        .unwrap_or_else(|| u64::from(client.tool));
    let viewer = Random::numbered(address, program).next();
    Client { viewer, persona: Persona::Bot, ..client }
}

/// The same bot with a device id of its own.
pub(super) fn with_device(client: Client, device: u64) -> Client {
    // Device ids are numbers of 19 digits.
    identified(Client {
        device: Some(7_000_000_000_000_000_000 + device % 1_000_000_000_000_000_000),
        ..client
    })
}

/// The same bot with a made-up session: a gateway cannot tell it from a user's.
pub(super) fn with_session(client: Client, random: &mut Random) -> Client {
    let session = u128::from(random.next()) << 64 | u128::from(random.next());
    identified(Client { session: Some(session), ..client })
}

/// The same bot with a key.
pub(super) fn with_key(client: Client, key: Key) -> Client {
    identified(Client { key: Some(key), ..client })
}

/// One of the free keys that were farmed.
pub(super) fn farmed_key(world: &World, number: u64) -> Key {
    world.people.own_key(11 << 40 | number, Tier::Community)
}

/// The address of somebody's home, anywhere: what sellers of residential proxies sell.
pub(super) fn residential(world: &World, random: &mut Random) -> IpAddr {
    world.plan.any_home(random).address(random)
}

/// An address where people of this country have theirs, telephones among them.
pub(super) fn of_country(world: &World, country: u8, random: &mut Random) -> IpAddr {
    world.plan.network_of_person(country, random).address(random)
}

/// A rented machine at any hoster.
pub(super) fn rented(world: &World, random: &mut Random) -> IpAddr {
    let hoster: &Network = random.pick(world.plan.hosters());
    hoster.address(random)
}

/// A list of addresses.
pub(super) fn pool(count: u64, mut address: impl FnMut() -> IpAddr) -> Vec<IpAddr> {
    (0..count).map(|_| address()).collect()
}

/// What an ordinary person of this country has, but for the address: program, key class, device id, session.
pub(super) fn true_profile(world: &World, country: u8, random: &mut Random) -> Client {
    let model = super::super::personas::newcomer(country, world, random);
    identified(model)
}

/// The country whose people would watch a room: its own in population 2, any in population 1.
pub(super) fn audience_of(world: &World, country: u8, random: &mut Random) -> u8 {
    if world.is_lively() && random.chance(0.9) { country } else { Plan::country(random) }
}
