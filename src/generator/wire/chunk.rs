//! The lines of a chunked body (RFC 9112 section 7.1): sizes, and the trailers at its end.

use super::error::{Malformed, TooLarge, WireError};
use super::head::{HEADERS_MAX, lines_end_by_crlf};
use super::parse::Limits;

/// Bytes of one chunk's size line, its CR LF included.
///
/// Sixteen digits and room for an extension that somebody might really send.
pub(super) const CHUNK_LINE_BYTES_MAX: usize = 256;

/// One chunk's size line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkLine {
    /// Bytes of the line, its CR LF included.
    pub(super) len: usize,
    /// Bytes of data that follow; 0 is the last chunk.
    pub(super) size: u64,
    /// Bytes from the `;` to the CR.
    pub(super) extension_bytes: usize,
}

/// Reads the size line at the start of `input`; `None` if its end is not there yet.
///
/// httparse reads the number. It also accepts white space around it, no digit at all, and any byte in an extension, LF
/// among them: other readers see another line there.
pub(super) fn read_chunk_line(input: &[u8]) -> Result<Option<ChunkLine>, WireError> {
    let window = &input[..input.len().min(CHUNK_LINE_BYTES_MAX)];
    let (len, size) = match httparse::parse_chunk_size(window) {
        Ok(httparse::Status::Complete(found)) => found,
        Ok(httparse::Status::Partial) if window.len() == CHUNK_LINE_BYTES_MAX => {
            return Err(WireError::TooLarge(TooLarge::ChunkExtensions));
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(WireError::Malformed(Malformed::ChunkSize)),
    };
    let line = &window[..len - 2];
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let extension = &line[digits..];
    if digits == 0 || !matches!(extension.first(), None | Some(b';')) {
        return Err(WireError::Malformed(Malformed::ChunkSize));
    }
    if extension.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(WireError::Malformed(Malformed::ChunkExtension));
    }
    Ok(Some(ChunkLine { len, size, extension_bytes: extension.len() }))
}

/// Reads the trailer section at the start of `input`, its empty line included, which holds at most
/// `limits.trailer_bytes_max` bytes; `None` if its end is not there yet.
///
/// Trailers are checked and dropped: nothing that a generator says after its body decides anything.
pub(super) fn read_trailers(input: &[u8]) -> Result<Option<usize>, WireError> {
    match httparse::parse_headers(input, &mut [httparse::EMPTY_HEADER; HEADERS_MAX]) {
        Ok(httparse::Status::Complete((len, _))) if lines_end_by_crlf(&input[..len]) => Ok(Some(len)),
        Ok(httparse::Status::Complete(_)) => Err(WireError::Malformed(Malformed::BareNewline)),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(WireError::TooLarge(TooLarge::Trailers)),
        Err(_) => Err(WireError::Malformed(Malformed::Trailer)),
    }
}

/// Books one line's extension on `spent`, all extensions of the body so far.
pub(super) fn book_extension(spent: &mut usize, line: ChunkLine, limits: &Limits) -> Result<(), WireError> {
    *spent += line.extension_bytes;
    if *spent > limits.extension_bytes_max {
        return Err(WireError::TooLarge(TooLarge::ChunkExtensions));
    }
    Ok(())
}
