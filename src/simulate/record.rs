//! One request as a gateway would have recorded it, and its line.

use std::io::Write;
use std::net::IpAddr;

use super::identity::Client;
use super::settings::Population;
use super::tools::{Spelling, Tools};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// To be connected to a room, in the tool's own spelling.
    Connect,
    /// The room id of a streamer.
    RoomId,
    /// What is left of one's limits.
    Limits,
    /// To send a message.
    Chat,
}

/// How it ended, where the gateway let it through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Good,
    /// The room was not live: the request is to blame.
    NotLive,
    /// Every generator failed, and the caller was not charged.
    Failed,
}

impl Ending {
    const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::NotLive => "request-blamed",
            Self::Failed => "generator-failed",
        }
    }
}

/// A room as requests name it: its number, and the streamer's handle, which is written from a number too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub id: u64,
    pub streamer: u64,
}

/// A request that is to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub client: Client,
    pub ask: Ask,
    pub room: Place,
    pub ending: Ending,
    /// How often it has been tried before.
    pub tries: u16,
}

/// One request with its label: what a gateway saw, and the truth.
#[derive(Debug, Clone)]
pub struct Record {
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// Its place in the traffic, from 0.
    pub seq: u64,
    /// The room that it is about, in truth.
    pub room: u64,
    /// Whether it is an attack's.
    pub is_attack: bool,
    /// The client's address.
    pub client: IpAddr,
    pub(super) request: Request,
    pub(super) duration_ms: u64,
}

/// What stands in every label of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub population: Population,
    pub scenario: &'static str,
}

impl Record {
    /// Whether a gateway counts it as a viewer: it asks to be connected.
    pub fn is_connect(&self) -> bool {
        self.request.ask == Ask::Connect
    }

    /// The word of its persona.
    pub fn persona(&self) -> &'static str {
        self.request.client.persona.word()
    }

    /// Appends its line, with the newline.
    pub(super) fn write(&self, header: Header, tools: &Tools, out: &mut Vec<u8>) {
        // Writing into a vector does not fail.
        let _ = self.write_line(header, tools, out);
        out.push(b'\n');
    }

    fn write_line(&self, header: Header, tools: &Tools, out: &mut Vec<u8>) -> std::io::Result<()> {
        let Request { client, ask, room, ending, .. } = &self.request;
        let tool = tools.get(client.tool);
        write!(out, "{{\"time\":{},\"seq\":{},\"duration_ms\":{}", self.time_ms, self.seq, self.duration_ms)?;
        write!(out, ",\"client\":\"{}\",\"key\":", client.address)?;
        match client.key {
            None => out.extend_from_slice(b"null"),
            Some(key) => {
                let number = key.number;
                write!(
                    out,
                    "{{\"id\":\"k_{:012x}\",\"account\":\"a-{:012x}\",\"tier\":\"{}\"}}",
                    number >> 16,
                    number.rotate_left(29) >> 16,
                    key.tier.word()
                )?;
            }
        }
        let post = *ask == Ask::Chat || *ask == Ask::Connect && tool.spelling == Spelling::UrlInBody;
        write!(out, ",\"method\":\"{}\",\"target\":\"", if post { "POST" } else { "GET" })?;
        self.write_target(tools, out)?;
        out.push(b'"');
        if *ask == Ask::Connect && tool.spelling == Spelling::UrlInBody {
            // Host and path of the URL, as a gateway keeps of a body: the room is told apart.
            write!(
                out,
                ",\"url\":\"https://webcast.tiktok.com/webcast/im/fetch/\",\"room\":\"{}\"",
                room.id
            )?;
        }
        if *ask == Ask::Chat {
            write!(out, ",\"room\":\"{}\"", room.id)?;
        }
        write!(out, ",\"user_agent\":\"{}\"", tool.user_agent)?;
        if let Some(session) = client.session {
            write!(out, ",\"session\":\"{session:032x}\"")?;
        }
        let names_streamer =
            *ask == Ask::RoomId || *ask == Ask::Connect && tool.spelling == Spelling::AnchorPath;
        if names_streamer && *ending == Ending::Good {
            write!(out, ",\"answer_room\":\"{}\"", room.id)?;
        }
        write!(out, ",\"outcome\":\"{}\"", ending.word())?;
        write!(
            out,
            ",\"label\":{{\"population\":{},\"scenario\":\"{}\",\"persona\":\"{}\",\"attack\":{},\"room\":\"{}\",\"viewer\":\"v{:x}\"}}}}",
            header.population as u8,
            header.scenario,
            client.persona.word(),
            client.persona.is_attack(),
            room.id,
            client.viewer
        )
    }

    fn write_target(&self, tools: &Tools, out: &mut Vec<u8>) -> std::io::Result<()> {
        let Request { client, ask, room, .. } = &self.request;
        let tool = tools.get(client.tool);
        let word = tool.client;
        match ask {
            Ask::RoomId if tool.spelling == Spelling::AnchorPath || tool.spelling == Spelling::RoomPath => {
                write!(out, "/webcast/anchors/s.{:x}/room_id?client={word}", room.streamer)?;
            }
            Ask::RoomId => write!(out, "/webcast/room_id?uniqueId=s.{:x}&client={word}", room.streamer)?,
            Ask::Limits if tool.spelling == Spelling::RoomPath => {
                write!(out, "/accounts/me/rate_limits?client={word}")?;
            }
            Ask::Limits => write!(out, "/webcast/rate_limits?client={word}")?,
            Ask::Chat => write!(out, "/webcast/chat?client={word}")?,
            Ask::Connect => {
                const BROWSER: &str = "Mozilla%2F5.0%20%28Windows%20NT%2010.0%3B%20Win64%3B%20x64%29";
                let id = room.id;
                match tool.spelling {
                    Spelling::Fetch => write!(
                        out,
                        "/webcast/fetch?client={word}&room_id={id}&user_agent={BROWSER}&client_enter=true&platform=web"
                    )?,
                    Spelling::FetchSlash => write!(out, "/webcast/fetch/?client={word}&room_id={id}&uuc=1")?,
                    Spelling::RoomPath => write!(
                        out,
                        "/webcast/rooms/{id}/connect?client={word}&cursor=&user_agent={BROWSER}&client_enter=true&platform=web"
                    )?,
                    Spelling::AnchorPath => {
                        write!(out, "/webcast/anchors/s.{:x}/connect?client={word}", room.streamer)?;
                    }
                    Spelling::UrlInQuery => write!(
                        out,
                        "/webcast/sign_url?url=https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2Fim%2Ffetch%2F%3Faid%3D1988%26room_id%3D{id}&client={word}&uuc=1"
                    )?,
                    Spelling::UrlInBody => write!(out, "/webcast/sign_url?client={word}")?,
                }
            }
        }
        if let Some(device) = client.device {
            write!(out, "&device_id={device}")?;
        }
        Ok(())
    }
}
