//! A body in chunks, taken apart as it arrives. Pure.
//!
//! Always holds: how the bytes were split on the way makes no difference; the body never exceeds its largest size.
//! Never does: accept a line that ends in a bare line feed, an empty size, or anything else that two readers might
//! understand differently.

use super::head::Refusal;

/// Longest line with a chunk's size; extensions are ignored.
const SIZE_LINE_BYTES_MAX: usize = 256;
/// Longest sum of all trailers, which are ignored.
const TRAILER_BYTES_MAX: usize = 4_096;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Size,
    Data(usize),
    DataEnd,
    Trailers(usize),
    Done,
}

/// A body that is being put together.
#[derive(Debug)]
pub(super) struct Chunks {
    body: Vec<u8>,
    part: Part,
    bytes_max: usize,
}

impl Chunks {
    pub(super) fn new(bytes_max: usize) -> Chunks {
        Chunks { body: Vec::new(), part: Part::Size, bytes_max }
    }

    /// Takes what it understands; how much that was. The rest is to be shown again with more behind it.
    pub(super) fn take(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let mut used = 0;
        while let Some(count) = self.step(&input[used..])? {
            used += count;
        }
        Ok(used)
    }

    pub(super) fn is_done(&self) -> bool {
        self.part == Part::Done
    }

    pub(super) fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// One part or a piece of it. `None`: more bytes are needed, or all is done.
    fn step(&mut self, input: &[u8]) -> Result<Option<usize>, Refusal> {
        match self.part {
            Part::Size => self.size(input),
            Part::Data(left) => {
                let count = left.min(input.len());
                if count == 0 {
                    return Ok(None);
                }
                self.body.extend_from_slice(&input[..count]);
                self.part = if count == left { Part::DataEnd } else { Part::Data(left - count) };
                Ok(Some(count))
            }
            Part::DataEnd => match input {
                [b'\r', b'\n', ..] => {
                    self.part = Part::Size;
                    Ok(Some(2))
                }
                [] | [b'\r'] => Ok(None),
                _ => Err(Refusal::bad("a chunk is longer than its size says")),
            },
            Part::Trailers(seen) => {
                let Some(line) = line(input, TRAILER_BYTES_MAX - seen)? else { return Ok(None) };
                self.part = if line == 2 { Part::Done } else { Part::Trailers((seen + line).min(TRAILER_BYTES_MAX)) };
                Ok(Some(line))
            }
            Part::Done => Ok(None),
        }
    }

    fn size(&mut self, input: &[u8]) -> Result<Option<usize>, Refusal> {
        if input.first().is_some_and(|first| !first.is_ascii_hexdigit()) {
            return Err(Refusal::bad("a chunk has no size"));
        }
        let Some(line) = line(input, SIZE_LINE_BYTES_MAX)? else { return Ok(None) };
        let Ok(httparse::Status::Complete((_, size))) = httparse::parse_chunk_size(&input[..line]) else {
            return Err(Refusal::bad("a chunk's size cannot be read"));
        };
        let room = self.bytes_max - self.body.len();
        let size = usize::try_from(size).ok().filter(|size| *size <= room).ok_or(Refusal::BODY_TOO_LARGE)?;
        self.part = if size == 0 { Part::Trailers(0) } else { Part::Data(size) };
        Ok(Some(line))
    }
}

/// Length of the first line with its end, once it is there.
fn line(input: &[u8], bytes_max: usize) -> Result<Option<usize>, Refusal> {
    match input.iter().position(|byte| *byte == b'\n') {
        Some(end) if end > bytes_max => Err(Refusal::bad("a line of a chunked body is too long")),
        Some(end) if end == 0 || input[end - 1] != b'\r' => Err(Refusal::bad("a line of a chunked body ends oddly")),
        Some(end) => Ok(Some(end + 1)),
        None if input.len() > bytes_max => Err(Refusal::bad("a line of a chunked body is too long")),
        None => Ok(None),
    }
}
