//! A stream of bytes as a window that moves over it: what is needed is held, and nothing else.

use std::io::{self, Read};

/// Bytes that a window holds unless a value needs more.
const WINDOW_BYTES: usize = 64 << 10;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The part of a stream that was read and is not done with.
pub(super) struct Window<R> {
    stream: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of the stream before the window.
    before: u64,
}

impl<R: Read> Window<R> {
    pub(super) fn new(stream: R) -> Self {
        Self {
            stream,
            buffer: vec![0; WINDOW_BYTES],
            start: 0,
            end: 0,
            before: 0,
        }
    }

    /// What the window holds.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Position in the stream of the window's beginning.
    pub(super) fn position(&self) -> u64 {
        self.before
    }

    /// Moves the window's beginning on.
    pub(super) fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.end - self.start, "only over what is held");
        self.start += count;
        self.before += count as u64;
    }

    /// Reads more behind what the window holds; `false` if the stream has ended.
    pub(super) fn more(&mut self) -> io::Result<bool> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            if self.start > self.buffer.len() / 4 {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        loop {
            match self.stream.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next byte; `None` at the end of the stream.
    #[inline]
    pub(super) fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.start == self.end && !self.more()? {
            return Ok(None);
        }
        Ok(Some(self.buffer[self.start]))
    }

    /// Skips a byte order mark.
    pub(super) fn skip_mark(&mut self) -> io::Result<()> {
        while self.bytes().len() < BYTE_ORDER_MARK.len()
            && BYTE_ORDER_MARK.starts_with(self.bytes())
        {
            if !self.more()? {
                return Ok(());
            }
        }
        if self.bytes().starts_with(BYTE_ORDER_MARK) {
            self.advance(BYTE_ORDER_MARK.len());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    /// A stream that gives a few bytes at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = out.len().min(self.0.len()).min(1000);
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn the_window_moves_and_grows() {
        let text: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        let mut window = Window::new(Slow(&text));
        let mut held = 0;
        // Half of what is held is done with at each step, until a large part is wanted at once.
        while window.position() < 100_000 {
            assert!(window.more().unwrap());
            held = held.max(window.buffer.len());
            window.advance(window.bytes().len().min(997));
        }
        assert_eq!(held, WINDOW_BYTES);
        while window.bytes().len() < 150_000 {
            assert!(window.more().unwrap());
        }
        let at = window.position() as usize;
        assert_eq!(window.bytes(), &text[at..at + window.bytes().len()]);
        while window.more().unwrap() {}
        assert_eq!(window.bytes(), &text[at..]);
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let mut window = Window::new(&b"\xef\xbb\xbf[1]"[..]);
        window.skip_mark().unwrap();
        assert_eq!(window.bytes(), b"[1]");
        let mut window = Window::new(&b"\xef\xbb"[..]);
        window.skip_mark().unwrap();
        assert_eq!(window.bytes(), b"\xef\xbb");
    }
}
