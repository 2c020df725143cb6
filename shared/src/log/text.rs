//! Writing JSON's strings and names into a line, without a tree of values in between.

use std::fmt::{self, Write};

/// Writes into a JSON string, between its quotes.
pub struct Escaped<'a>(pub &'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // What almost every text is.
        if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
            self.0.push_str(text);
            return Ok(());
        }
        for c in text.chars() {
            match c {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                '\u{0}'..='\u{1f}' => write!(self.0, "\\u{:04x}", u32::from(c))?,
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// Writes `,"fieldName":`, the name as it is in Rust (`field_name`) or in JSON.
pub fn push_name(line: &mut String, name: &str) {
    line.push_str(",\"");
    let mut upper = false;
    for c in name.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                line.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => line.push(c),
        }
    }
    line.push_str("\":");
}
