//! How each client generation speaks: what is asked, and how answers, refusals and limits are said.

pub mod answer;
#[cfg(test)]
mod example;
pub mod head;
pub mod limits;
pub mod ratelimit;
pub mod refusal;
