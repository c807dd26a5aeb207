//! From a request to the facts that a decision may look at. Nothing else makes [`Facts`].

use std::net::IpAddr;

use super::request::Request;
use crate::base::net::canonical;
use crate::base::operation::Operation;
use crate::engine::facts::{Credential, Facts, TargetClaim};

impl Request<'_> {
    /// The facts, as far as they have been read: asked again once the body is in, they may say more.
    ///
    /// `client` is the address from the one configured source, `asn` what the networks table says of it. The gateway
    /// may replace the credential by one that is not looked up; replay puts in what the record says of key, room and
    /// session.
    pub fn facts(&self, client: IpAddr, asn: Option<u32>) -> Facts<'_> {
        Facts {
            operation: self.operation(),
            client: canonical(client),
            credential: self.key.map_or(Credential::Absent, Credential::Presented),
            room: self.room,
            resolved: None,
            target: self.target_claim(),
            session: self.session.hash(),
            user_agent: self.user_agent,
            library: self.library,
            device: self.device.as_deref(),
            asn,
        }
    }

    fn target_claim(&self) -> TargetClaim<'_> {
        match self.target() {
            Some(target) => TargetClaim::Url { host: target.host(), path: target.path() },
            None if self.operation() == Operation::SignUrl => TargetClaim::InBody,
            None => TargetClaim::None,
        }
    }
}
