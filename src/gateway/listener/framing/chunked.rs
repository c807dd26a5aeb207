//! The framing of a chunked body, strictly as RFC 9112 section 7.1 writes it, without extensions and trailers.

use super::Violation;

/// Where in a chunked body the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the digits of a size, of which `digits` were read.
    Size {
        value: u32,
        digits: u8,
    },
    /// At the LF of a size line.
    SizeLf {
        value: u32,
    },
    /// In a chunk's data.
    Data {
        left: u32,
    },
    DataCr,
    DataLf,
    /// At the CR of the empty line that ends the body.
    EndCr,
    EndLf,
}

/// A chunked body on its way in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunks {
    place: Place,
    /// Bytes of data announced so far.
    total: u32,
}

/// How far a look at a chunked body came.
pub(super) struct ChunksStep {
    /// Bytes that belong to the body and are well framed.
    pub(super) taken: usize,
    /// Whether the body ended there; or what stands there instead.
    pub(super) ended: Result<bool, Violation>,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { place: Place::Size { value: 0, digits: 0 }, total: 0 }
    }

    /// Looks at `bytes`, which follow on those taken before. `max` is the largest sum of the chunks' sizes; their data is
    /// appended to `body`.
    pub(super) fn advance(&mut self, bytes: &[u8], max: u32, body: &mut Vec<u8>) -> ChunksStep {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if let Place::Data { left } = self.place {
                let taken = (left as usize).min(bytes.len() - at);
                body.extend_from_slice(&bytes[at..at + taken]);
                at += taken;
                let left = left - taken as u32;
                self.place = if left == 0 { Place::DataCr } else { Place::Data { left } };
                continue;
            }
            match self.byte(byte, max) {
                Ok(false) => at += 1,
                Ok(true) => return ChunksStep { taken: at + 1, ended: Ok(true) },
                Err(violation) => return ChunksStep { taken: at, ended: Err(violation) },
            }
        }
        ChunksStep { taken: at, ended: Ok(false) }
    }

    /// Takes one byte of framing; true when it was the body's last.
    fn byte(&mut self, byte: u8, max: u32) -> Result<bool, Violation> {
        self.place = match (self.place, byte) {
            (Place::Size { digits: 1.., value }, b'\r') => Place::SizeLf { value },
            (Place::Size { digits: 1.., .. }, b';') => return Err(Violation::ChunkExtension),
            (Place::Size { value, digits: digits @ 0..8 }, _) => {
                let digit = (byte as char).to_digit(16).ok_or(Violation::ChunkSize)?;
                Place::Size { value: value << 4 | digit, digits: digits + 1 }
            }
            (Place::SizeLf { value: 0 }, b'\n') => Place::EndCr,
            (Place::SizeLf { value }, b'\n') => {
                self.total = self
                    .total
                    .checked_add(value)
                    .filter(|&total| total <= max)
                    .ok_or(Violation::BodyTooLarge)?;
                Place::Data { left: value }
            }
            (Place::Size { .. } | Place::SizeLf { .. }, _) => return Err(Violation::ChunkSize),
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::Size { value: 0, digits: 0 },
            // `Data` never comes here; its bytes are taken as they are.
            (Place::DataCr | Place::DataLf | Place::Data { .. }, _) => return Err(Violation::ChunkEnd),
            (Place::EndCr, b'\r') => Place::EndLf,
            (Place::EndLf, b'\n') => return Ok(true),
            (Place::EndCr | Place::EndLf, _) => return Err(Violation::Trailer),
        };
        Ok(false)
    }
}
