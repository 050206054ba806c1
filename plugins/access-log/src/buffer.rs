//! Where a line is put together.
//!
//! The pieces of a line have a few bytes each. Copied in words they cost a third of what `memory.copy` does, which is
//! a call out of WebAssembly.

/// A word of bytes.
type Word = [u8; 8];
/// How long a line usually is at most.
const USUAL: usize = 1 << 10;
/// A buffer that has grown beyond this is given back after use.
const KEEP: usize = 16 << 10;

/// A buffer that is kept from line to line.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// The line, and behind it what older lines left.
    bytes: Vec<u8>,
    length: usize,
}

impl Buffer {
    /// Begins a new line.
    pub(crate) fn clear(&mut self) {
        self.length = 0;
        if self.bytes.len() > KEEP {
            self.bytes = Vec::new();
        }
    }

    /// The line.
    pub(crate) fn line(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Adds bytes as they are.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.put_word(*word);
        }
        rest.iter().for_each(|byte| self.put_byte(*byte));
    }

    /// Adds the inside of a JSON string (RFC 8259, section 7).
    pub(crate) fn put_json(&mut self, text: &str) {
        self.reserve(text.len());
        let (words, rest) = text.as_bytes().as_chunks();
        for word in words {
            if is_clean(*word) {
                self.put_word(*word);
            } else {
                word.iter().for_each(|byte| self.put_json_byte(*byte));
            }
        }
        rest.iter().for_each(|byte| self.put_json_byte(*byte));
    }

    fn put_json_byte(&mut self, byte: u8) {
        match byte {
            b'"' | b'\\' => self.put(&[b'\\', byte]),
            b'\n' => self.put(b"\\n"),
            b'\r' => self.put(b"\\r"),
            b'\t' => self.put(b"\\t"),
            0..0x20 => {
                self.put(b"\\u00");
                self.put(&hexadecimal(byte));
            }
            _ => self.put_byte(byte),
        }
    }

    /// Adds text in which quotes, backslashes and control characters are `\xHH`, as nginx writes them.
    pub(crate) fn put_escaped(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' | 0..0x20 | 0x7f => {
                    self.put(b"\\x");
                    self.put(&hexadecimal(byte));
                }
                _ => self.put_byte(byte),
            }
        }
    }

    /// Adds a number.
    pub(crate) fn put_number(&mut self, number: u64) {
        self.put(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Adds the last three digits of a number.
    pub(crate) fn put_thousandths(&mut self, number: u64) {
        for divisor in [100, 10, 1] {
            self.put_byte(digit(number / divisor % 10));
        }
    }

    /// Adds one byte.
    pub(crate) fn put_byte(&mut self, byte: u8) {
        if self.length == self.bytes.len() {
            self.reserve(1);
        }
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn put_word(&mut self, word: Word) {
        if let Some(place) = self.bytes.get_mut(self.length..).and_then(<[u8]>::first_chunk_mut) {
            *place = word;
            self.length += word.len();
        }
    }

    /// Makes room for so many bytes.
    fn reserve(&mut self, more: usize) {
        let needed = self.length + more;
        if needed > self.bytes.len() {
            self.bytes.resize(needed.next_power_of_two().max(USUAL), 0);
        }
    }
}

/// Whether no byte of a word has to be escaped in JSON. All eight are looked at together: a byte's highest bit comes out
/// set where subtracting its bound borrows.
fn is_clean(word: Word) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHEST: u64 = ONES << 7;
    let word = u64::from_le_bytes(word);
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word;
    let found = below(word, 0x20) | below(word ^ (ONES * 0x22), 1) | below(word ^ (ONES * 0x5c), 1);
    found & HIGHEST == 0
}

fn hexadecimal(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|half| digit(half.into()))
}

/// A digit up to 15 in hexadecimal.
fn digit(value: u64) -> u8 {
    b"0123456789ABCDEF".get(usize::try_from(value).unwrap_or_default()).copied().unwrap_or(b'?')
}

#[cfg(test)]
mod tests {
    use gofe_plugin::serde_json;

    use super::*;

    #[test]
    fn json_reads_back_as_it_was() {
        let every: String = (0..0x180).filter_map(char::from_u32).collect();
        for text in ["", "plain", "exactly8", "quote\" at 5", "1234567\\", "tab\tand line\n", &every] {
            let mut buffer = Buffer::default();
            buffer.put_byte(b'"');
            buffer.put_json(text);
            buffer.put_byte(b'"');
            assert_eq!(serde_json::from_slice::<String>(buffer.line()).unwrap(), text);
        }
    }

    #[test]
    fn a_word_is_clean_where_each_byte_is() {
        for byte in 0..=255 {
            for place in 0..8 {
                let mut word = [b'a'; 8];
                word[place] = byte;
                assert_eq!(is_clean(word), !matches!(byte, 0..0x20 | b'"' | b'\\'), "{byte:x} at {place}");
            }
        }
    }

    #[test]
    fn a_long_line_is_whole_and_its_memory_is_given_back() {
        let mut buffer = Buffer::default();
        let long = "x".repeat(3 * KEEP);
        buffer.put(b"before");
        buffer.put_json(&long);
        assert_eq!(buffer.line().len(), 6 + long.len());
        buffer.clear();
        buffer.put(b"after");
        assert_eq!((buffer.line(), buffer.bytes.len()), (&b"after"[..], USUAL));
    }
}
